"""Tokens, sessions and links: made here, kept in the store by their digests.

A token is for programs, a session for a browser. A link only opens sessions: it is what `flowq ui` prints.
"""

import secrets
import unicodedata
from dataclasses import replace
from typing import Final

from flowq.serve.http.principals import Principal, Role
from flowq.store import Store
from flowq.store.page.access import AccessRecord, digest_of

_BYTES: Final = 32
_PREFIXES: Final = {"token": "fqt_", "session": "fqs_", "link": "fql_"}
_LONGEST: Final = 128  # characters of a secret that is looked up at all
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


def odd_characters(name: str) -> str:
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


def find(store: Store, secret: str, kinds: tuple[str, ...]) -> AccessRecord | None:
    """Return what a secret of one of these kinds allows, or None. The comparison is that of digests, by the store's index."""
    if len(secret) > _LONGEST or not secret.startswith(tuple(_PREFIXES[kind] for kind in kinds)):
        return None
    record = store.accesses.find(digest_of(secret))
    return record if record is not None and record.kind in kinds else None


def principal_of(record: AccessRecord) -> Principal:
    """Return the user that a record stands for."""
    return Principal(record.name, Role[record.role.upper()], record.flows, record.digest, cookie=record.kind == "session")
