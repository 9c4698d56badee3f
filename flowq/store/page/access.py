"""Who may use the page: tokens, sessions and links as the store sees them, and the log of what users changed.

Only digests of secrets are stored: a user who reads the store cannot sign in with what is there. One who can write to it can grant anything.
Times are milliseconds since the epoch by the server's clock.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowq.store.client.session import Session
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.run_rows import end_before

NEVER: Final = -1
"""In place of the time of an expiry."""


def digest_of(secret: str) -> str:
    """Return the digest by which a secret is stored. Secrets have 256 random bits, so no salt is needed."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class AccessRecord:
    """What a secret allows.

    Attributes:
        digest: of the secret.
        kind: token, session (of a browser) or link (which only opens sessions).
        name: of the user.
        role: viewer, operator or admin.
        flows: patterns of the flows that it is limited to; none: all.
        created_ms: when it was granted.
        expires_ms: None: never.
        used_ms: when it was used last, None: not yet.
        address: from where.
        by: the user who granted it.
        parent: digest of the token that opened the session.
    """

    digest: str
    kind: str
    name: str
    role: str
    flows: tuple[str, ...] = ()
    created_ms: int = 0
    expires_ms: int | None = None
    used_ms: int | None = None
    address: str = ""
    by: str = ""
    parent: str = ""

    @property
    def id(self) -> str:
        """A short name of it, which gives nothing away."""
        return self.digest[:12]

    def fields(self) -> list[str]:
        """Return what is stored, flat."""
        pairs = {"kind": self.kind, "name": self.name, "role": self.role, "flows": "\n".join(self.flows), "by": self.by}
        pairs |= {"address": self.address, "parent": self.parent}
        return [part for pair in pairs.items() for part in pair if pair[1]]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the log: its position, when it was made, and its fields."""

    position: str
    fields: Mapping[str, str]

    @property
    def at_ms(self) -> int:
        """When it was made."""
        return int(self.position.partition("-")[0])


class Accesses:
    """The store's view of users of the page."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def grant(self, record: AccessRecord) -> Outcome:
        """Keep what a secret allows; its times but `expires_ms` are the store's business."""
        expires = NEVER if record.expires_ms is None else record.expires_ms
        return Outcome(self._session.run("access/grant", record.digest, expires, record.fields())[0].decode())

    def revoke(self, digest: str) -> Outcome:
        """Forget a secret, and the sessions that were opened with it."""
        return Outcome(self._session.run("access/revoke", digest)[0].decode())

    def touch(self, digest: str, address: str) -> Outcome:
        """Note that a secret is used now, from this address."""
        return Outcome(self._session.run("access/touch", digest, address)[0].decode())

    def find(self, digest: str) -> AccessRecord | None:
        """Return what a secret allows, None if it is unknown, has expired, or was revoked, or the token behind it."""
        with self._session.translated:
            row = self._session.client.hgetall(self._keys("access", digest))
            if not row:
                return None
            record = _record(digest, row)
            if record.parent and not self._session.client.exists(self._keys("access", record.parent)):
                return None
        return record

    def all(self) -> list[AccessRecord]:
        """Return all that have not expired, newest first."""
        now = self._session.now_ms()
        with self._session.translated:
            digests = [item.decode() for item in self._session.client.zrangebyscore(self._keys("accesses"), f"({now}", "+inf")]
            pipe = self._session.client.pipeline(transaction=False)
            for digest in digests:
                pipe.hgetall(self._keys("access", digest))
            rows = pipe.execute()
        found = [_record(digest, row) for digest, row in zip(digests, rows, strict=True) if row]
        return sorted(found, key=lambda record: record.created_ms, reverse=True)

    def note(self, fields: Mapping[str, str]) -> None:
        """Add an entry to the log of what users changed."""
        self._session.run("access/note", [part for pair in fields.items() for part in pair])

    def audit(self, before: str, count: int) -> list[AuditEntry]:
        """Return entries of the log, newest first. `before`: a position, or "+" for the newest."""
        with self._session.translated:
            rows = self._session.client.xrevrange(self._keys("audit"), max=end_before(before), count=count)
        return [
            AuditEntry(seq.decode(), {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()})
            for seq, row in rows
        ]

    def beat(self, name: str, text: str) -> None:
        """Note that a process that serves the page lives, and what it says of itself; without a text: that it has ended."""
        self._session.run("access/beat", name, text)

    def pages(self, within_ms: int = 60_000) -> dict[str, str]:
        """Return what the processes with a beat within this time say of themselves, by name."""
        oldest = self._session.now_ms() - within_ms
        with self._session.translated:
            names = self._session.client.zrangebyscore(self._keys("pages"), oldest, "+inf")
            texts = self._session.client.hmget(self._keys("page_texts"), names) if names else []
        return {name.decode(): text.decode() for name, text in zip(names, texts, strict=True) if text}


def _record(digest: str, row: Mapping[bytes, bytes]) -> AccessRecord:
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    expires = int(fields.get("expires", NEVER))
    return AccessRecord(
        digest=digest,
        kind=fields.get("kind", ""),
        name=fields.get("name", ""),
        role=fields.get("role", ""),
        flows=tuple(pattern for pattern in fields.get("flows", "").split("\n") if pattern),
        created_ms=int(fields.get("created", 0)),
        expires_ms=None if expires == NEVER else expires,
        used_ms=int(fields["used"]) if "used" in fields else None,
        address=fields.get("address", ""),
        by=fields.get("by", ""),
        parent=fields.get("parent", ""),
    )
