"""Signatures: with `FLOWQ_SECRET_KEY` set, nothing that came from the server is decoded or executed unless it was signed with that key.

Pickled bytes execute code when they are read, and a plan says which commands are run: write access to the server is enough to run code
where its workers are. A key that producers and workers share, and the server has not, takes that power from those who reach only the
server. Without a key everything is taken as it comes.

`seal` puts an HMAC-SHA256 in front of the bytes, over them and over what they belong to (their kind, the job's id), so that a sealed
value cannot be moved to another job. `signature` gives the same apart from the bytes, for a text that others read too.

The variable may name several keys, separated by commas: the first signs, all are accepted. So a key is changed without a stop: first
put the new one behind the old one everywhere, then in front of it, then leave the old one out.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Final

from flowq.exceptions import ConfigError, SignatureError

VARIABLE: Final = "FLOWQ_SECRET_KEY"
SHORTEST: Final = 16  # characters of a key

_CALLBACKS: Final = ("on_success", "on_failure", "on_stopped")
_MAGIC: Final = b"\x00flowq1\x00"  # no pickle and no JSON begins so
_DIGEST: Final = 32
_HEAD: Final = len(_MAGIC) + _DIGEST


def payload_context(job: str, fields: Mapping[str, object]) -> tuple[str, ...]:
    """Return what the signature of a plain job's call covers besides it: the job, and what else of its record is executed or called.

    Args:
        job: the id.
        fields: of its record, as stored.
    """
    texts = {name: str(fields.get(name) or "") for name in ("serializer", *_CALLBACKS, "webhooks")}
    return ("call of job", job, *(_in_seconds(text) if text and name in _CALLBACKS else text for name, text in texts.items()))


def unseal_call(data: bytes, job: str, fields: Mapping[str, object]) -> bytes:
    """Return the call of a plain job, sealed or not; see `payload_context` and `unseal`. Each job asks.

    Raises:
        SignatureError: there is a key, and the call is not signed with it or belongs to something else.
        ConfigError: a key is too short.
    """
    if is_on():
        return unseal(data, *payload_context(job, fields))
    return data[_HEAD:] if data.startswith(_MAGIC) else data


def _in_seconds(callback: str) -> str:
    """Return a callback, `<name>|<ms>`, as it is signed: `<name>|<s>`, as schema 1 stored it, so its signatures are valid still."""
    name, bar, millis = callback.rpartition("|")
    try:
        return f"{name}{bar}{float(millis) / 1000:g}"
    except ValueError:
        return callback  # never signed


def is_on() -> bool:
    """Return whether there is a key."""
    return VARIABLE in os.environ and bool(os.environ[VARIABLE])  # each job asks, and `get` takes three times as long in vain


def seal(data: bytes, *context: str) -> bytes:
    """Return the bytes with a signature in front; without a key, as they are.

    Args:
        data: what is to be stored.
        context: what the bytes are and belong to; the same is needed to open them.

    Raises:
        ConfigError: a key is too short.
    """
    for key in _keys():
        return _MAGIC + _mac(key, data, context) + data
    return data


def unseal(data: bytes, *context: str) -> bytes:
    """Return the sealed bytes. Without a key a signature is not checked.

    Raises:
        SignatureError: there is a key, and the bytes are not signed with it or belong to something else.
        ConfigError: a key is too short.
    """
    sealed = data.startswith(_MAGIC)
    if is_on():
        _check(data[_HEAD:], data[len(_MAGIC) : _HEAD] if sealed else b"", context)
    return data[_HEAD:] if sealed else data


def signature(data: bytes, *context: str) -> str:
    """Return the signature of bytes that are stored beside it; empty without a key."""
    for key in _keys():
        return _mac(key, data, context).hex()
    return ""


def verify(data: bytes, signed: str, *context: str) -> None:
    """Check that bytes have this signature; without a key everything is accepted.

    Raises:
        SignatureError: there is a key, and this is not its signature of these bytes.
    """
    if is_on():
        _check(data, bytes.fromhex(signed) if len(signed) == 2 * _DIGEST and signed.isalnum() else b"", context)


def _check(data: bytes, mac: bytes, context: tuple[str, ...]) -> None:
    import hmac

    what = " ".join(context[:2])
    if not mac:
        raise SignatureError(
            f"the {what} is not signed, and {VARIABLE} is set here: set the same key where it comes from; otherwise it may be forged"
        )
    if not any(hmac.compare_digest(_mac(key, data, context), mac) for key in _keys()):
        raise SignatureError(f"the signature of the {what} is wrong: it was signed with another {VARIABLE}, or it was changed")


def _mac(key: bytes, data: bytes, context: tuple[str, ...]) -> bytes:
    import hmac

    made = hmac.new(key, digestmod="sha256")
    for part in (*(text.encode("utf-8", "surrogatepass") for text in context), data):
        made.update(len(part).to_bytes(8, "big"))  # so that no two lists of parts give the same bytes
        made.update(part)
    return made.digest()


def _keys() -> Iterator[bytes]:
    for text in os.environ[VARIABLE].split(",") if is_on() else ():
        key = text.strip()
        if key and len(key) < SHORTEST:
            raise ConfigError(
                f"{VARIABLE}: a key of {len(key)} characters is too short, expected {SHORTEST} or more;"
                " `python3 -c 'import secrets; print(secrets.token_hex(32))'` makes one"
            )
        if key:
            yield key.encode()
