"""Identifiers: random, short enough to type, safe in keys, file names and shells; and the characters that names may have."""

import os
import uuid

from flowq.exceptions import UsageError

_BASE32 = "abcdefghjkmnpqrstvwxyz0123456789"  # Crockford's idea: no i, l, o, u


def run_id() -> str:
    """Return a new run id: 8 characters, 40 random bits."""
    return "".join(_BASE32[byte & 31] for byte in os.urandom(8))


def job_id() -> str:
    """Return a new id for a plain job (a UUID 4, as users of RQ expect)."""
    return str(uuid.uuid4())


def nonce() -> str:
    """Return 96 random bits in hex: claim ids, request nonces, incarnations."""
    return os.urandom(12).hex()


def member_id(run: str, ordinal: int) -> str:
    """Return the id of the job with this ordinal in a run; the ordinal is fixed at expansion."""
    return f"{run}-{ordinal}"


def split_member_id(job: str) -> tuple[str, int]:
    """Return `(run, ordinal)` of a run's job id, the inverse of `member_id`."""
    run, _, ordinal = job.rpartition("-")
    return run, int(ordinal)


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
