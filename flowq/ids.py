"""Identifiers: random, short enough to type, safe in keys, file names and shells; and the characters that names may have."""

import os
import re
from functools import lru_cache

from flowq.exceptions import UsageError

_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLAIN = re.compile(r"[a-z0-9]{8}")
_MEMBER = re.compile(r"(?:[a-z0-9]{8}-|[A-Za-z0-9][A-Za-z0-9._-]{0,63}:)[0-9]+")
_BASE32 = "abcdefghjkmnpqrstvwxyz0123456789"  # Crockford's idea: no i, l, o, u


def run_id() -> str:
    """Return a new run id: 8 characters, 40 random bits."""
    return "".join(_BASE32[byte & 31] for byte in os.urandom(8))


def job_id() -> str:
    """Return a new id for a plain job (a UUID 4, as users of RQ expect)."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def nonce() -> str:
    """Return 96 random bits in hex: claim ids, request nonces, incarnations."""
    return os.urandom(12).hex()


def member_id(run: str, ordinal: int) -> str:
    """Return the id of the job with this ordinal in a run; the ordinal is fixed at expansion.

    The separator is `-` for ids of 8 lower-case letters and digits, such as the random ones, and `:` for all others, which may contain `-`
    themselves. `checked_run_id` refuses ids that read like that of a job, so that no two are the same.
    """
    return f"{run}{'-' if _PLAIN.fullmatch(run) else ':'}{ordinal}"


def run_of(job: str) -> str:
    """Return the run of a run's job id."""
    return job.rpartition(":" if ":" in job else "-")[0]


def split_member_id(job: str) -> tuple[str, int]:
    """Return `(run, ordinal)` of a run's job id, the inverse of `member_id`."""
    run, _, ordinal = job.rpartition(":" if ":" in job else "-")
    return run, int(ordinal)


def is_member_id(text: str) -> bool:
    """Return whether a text has the form of a run's job id."""
    return _MEMBER.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Return whether a text has the form of a run's id: 1 to 64 letters, digits and `._-`, the first one a letter or a digit."""
    return _RUN.fullmatch(text) is not None


@lru_cache(maxsize=64)  # a worker needs that of its runs for each job
def trace_id(run: str) -> str:
    """Return the id of a run's trace (W3C Trace Context, 32 hexadecimal digits): always the same one for a run."""
    return _digest("trace", run)[:32]


def span_id(*parts: str | int) -> str:
    """Return the id of a span (16 hexadecimal digits): of an execution, by its job and number, or of an attempt of a run."""
    return _digest("span", *parts)[:16]


def _digest(*parts: str | int) -> str:
    import hashlib  # most processes need no ids of spans

    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()


def checked_run_id(value: str) -> str:
    """Return an id that a user has chosen for a run.

    Raises:
        UsageError: it is none, or reads like the id of a job.
    """
    if not is_run_id(value):
        raise UsageError(
            f"expected 1 to 64 letters, digits, dots, dashes and underscores as the id of a run, beginning with a letter or a digit, found {value!r}"
        )
    if is_member_id(value):
        raise UsageError(f"{value!r} reads like the id of a job of the run {value[:8]}: choose another id for the run")
    return value


def checked_name(value: object, what: str, *, without: str = "\n\r\0") -> str:
    """Return a name that a user gave.

    Args:
        value: what was given.
        what: what it is to be the name of, for the message.
        without: characters that it must not have.

    Raises:
        UsageError: not a text, empty, or one that cannot be stored.
    """
    if not isinstance(value, str) or not value or not set(without).isdisjoint(value):
        others = "'|' and line breaks" if "|" in without else "line breaks"
        raise UsageError(f"{what} must be a text without {others}, found {value!r}")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise UsageError(
            f"{what} must be a text that UTF-8 can hold, found {value!r}, which has half a character (a lone surrogate)"
        )
    return value
