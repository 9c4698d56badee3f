"""Tokens, sessions and links: made here, kept in the store by their digests.

A token is for programs, a session for a browser. A link only opens sessions: it is what `flowq ui` prints.
"""

import secrets
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from flowq.exceptions import UsageError
from flowq.plan import Json
from flowq.serve.http.principals import Principal, Role
from flowq.store import Store
from flowq.store.page.access import AccessRecord, digest_of
from flowq.store.schema.documents import iso

_BYTES: Final = 32
_PREFIXES: Final = {"token": "fqt_", "session": "fqs_", "link": "fql_"}
_LONGEST: Final = 128  # characters of a secret that is looked up at all
_LONGEST_TIME: Final = 10 * 365 * 86_400  # s for which a token may count
SESSION: Final = 14 * 86_400_000  # ms
LINK: Final = 86_400_000  # ms
SESSIONS: Final = 20
"""Sessions of one token: with one more, the oldest ends."""


def grant(store: Store, record: AccessRecord) -> tuple[str, AccessRecord]:
    """Keep what a new secret allows; return the secret, which is shown once, and the record. Its digest is made here."""
    secret = _PREFIXES[record.kind] + secrets.token_urlsafe(_BYTES)
    kept = replace(record, digest=digest_of(secret))
    store.accesses.grant(kept)
    return secret, kept


def make_token(
    store: Store, name: str, role: str, flows: Iterable[str] = (), *, seconds: float | None = None, by: str
) -> tuple[str, AccessRecord]:
    """Make a token; return its secret, which is shown once, and its record.

    Args:
        store: where it is kept.
        name: of the user or program that gets it.
        role: viewer, operator or admin.
        flows: patterns of the flows (`<catalog>/<flow>`) that it is limited to; none, or `*`: all.
        seconds: for which it counts; None: until it is revoked.
        by: the user who makes it.

    Raises:
        UsageError: it cannot be made so.
    """
    limited = tuple(item for item in flows if item != "*")
    if not name.strip():
        raise UsageError("name: it is empty")
    if odd := _odd_characters(name):
        raise UsageError(f"name: it has characters that are not visible or change the direction of the text: {odd}")
    if limited and role == Role.ADMIN.word:
        raise UsageError("flows: an admin is not limited to flows, because an admin can make tokens")
    if seconds is not None and not 0 < seconds <= _LONGEST_TIME:
        raise UsageError(f"expires: expected a duration such as 90d, of ten years at most, found {seconds:g} s")
    expires = None if seconds is None else store.now_ms() + round(seconds * 1000)
    secret, record = grant(store, AccessRecord("", "token", name, role, limited, expires_ms=expires, by=by))
    return secret, store.accesses.find(record.digest) or record


def _odd_characters(name: str) -> str:
    """Return the characters of a name that are not visible or change the direction of text, so that it could pass for another one."""
    odd = dict.fromkeys(character for character in name if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"})
    return ", ".join(f"U+{ord(character):04X}" for character in odd)


def link(store: Store, name: str) -> str:
    """Return the secret of a link that opens sessions of an administrator, for a day."""
    record = AccessRecord("", "link", name, Role.ADMIN.word, expires_ms=store.now_ms() + LINK, by=name)
    return grant(store, record)[0]


def session(store: Store, opener: AccessRecord, address: str) -> tuple[str, AccessRecord]:
    """Open a session with a token or a link. It ends with the token, but outlives the link. Of too many the oldest ends."""
    expires = store.now_ms() + SESSION
    if opener.kind == "token" and opener.expires_ms is not None:
        expires = min(expires, opener.expires_ms)
    parent = opener.digest if opener.kind == "token" else ""
    record = AccessRecord("", "session", opener.name, opener.role, opener.flows, expires_ms=expires, address=address)
    record = replace(record, parent=parent, by=opener.name)
    opened = [item for item in store.accesses.all() if _opener(item) == _opener(record)]
    for item in opened[SESSIONS - 1 :]:
        store.accesses.revoke(item.digest)
    return grant(store, record)


def _opener(record: AccessRecord) -> tuple[str, str, str]:
    """Return what a session was opened with: links are many, and their sessions outlive them, so those of one user count together."""
    return record.kind, record.parent, record.name


def is_link(secret: str) -> bool:
    """Return whether this looks like the secret of a link, which is no token."""
    return secret.startswith(_PREFIXES["link"])


def find(store: Store, secret: str, kinds: tuple[str, ...]) -> AccessRecord | None:
    """Return what a secret of one of these kinds allows, or None. The comparison is that of digests, by the store's index."""
    if len(secret) > _LONGEST or not secret.startswith(tuple(_PREFIXES[kind] for kind in kinds)):
        return None
    record = store.accesses.find(digest_of(secret))
    return record if record is not None and record.kind in kinds else None


def principal_of(record: AccessRecord) -> Principal:
    """Return the user that a record stands for."""
    return Principal(record.name, Role[record.role.upper()], record.flows, record.digest, cookie=record.kind == "session")


def access_json(record: AccessRecord, digest: str = "") -> dict[str, Json]:
    """Return a token, a session or a link. `digest`: of the one that asks, if one does."""
    return {
        "id": record.id,
        "kind": record.kind,
        "name": record.name,
        "role": record.role,
        "flows": list(record.flows) or ["*"],
        "created_at": iso(record.created_ms),
        "expires_at": iso(record.expires_ms),
        "used_at": iso(record.used_ms),
        "address": record.address or None,
        "by": record.by or None,
        "current": record.digest == digest,
    }
