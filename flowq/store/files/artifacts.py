"""The files that jobs of runs have left: manifests, contents that are kept here, and where the others are."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from flowq.artifacts.manifest import Manifest, read
from flowq.config import load_settings
from flowq.exceptions import ConfigError
from flowq.store.client.session import Session

_DIGEST: Final = re.compile(rb"[0-9a-f]{64}")
_SCANNED: Final = 1000  # keys looked at by one call
_POINTER: Final = 80  # bytes at the start of a bundle in which the digest of one in the file store is


class Artifacts:
    """The store's view of artifacts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def manifests(self, jobs: Sequence[str]) -> list[Mapping[str, Manifest]]:
        """Return for each job its artifacts by name, in one round trip.

        Raises:
            CorruptRecordError: one cannot be read.
        """
        if not jobs:
            return []
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for job in jobs:
                pipe.hgetall(self._keys("artifacts", job))
            rows = pipe.execute()
        return [{name.decode(): read(stored, job) for name, stored in row.items()} for job, row in zip(jobs, rows, strict=True)]

    def contents(self, job: str, name: str, digests: Sequence[str]) -> list[bytes | None]:
        """Return contents of an artifact that are kept here, None for those that are not there."""
        if not digests:
            return []
        with self._session.translated:
            found: list[bytes | None] = self._session.client.hmget(self._keys("artifact_files", job, name), list(digests))
        return found

    def named(self, now_ms: int) -> set[str]:
        """Return the digests of all contents that records name, of artifacts that are kept at a time and of bundles.

        Looked up in all keys, and in whatever form they are stored: what cannot be read must not lose its files.
        """
        client = self._session.client
        found: set[str] = set()
        with self._session.translated:
            for key in client.scan_iter(match=self._keys("artifacts", "*"), count=_SCANNED):
                for stored in client.hvals(key):
                    until = stored.partition(b" ")[0]
                    if not until.isdigit() or int(until) > now_ms:
                        found.update(map(bytes.decode, _DIGEST.findall(stored)))
            for key in client.scan_iter(match=self._keys("bundle", "*"), count=_SCANNED):
                found.update(map(bytes.decode, _DIGEST.findall(client.getrange(key, 0, _POINTER))))
        return found

    def file_store(self) -> str:
        """Return the address below which the contents of this server's data are in the file store, "" where there is none.

        Each incarnation of the data has a place of its own: what its records do not name can be removed there, whatever else is in the store.

        Raises:
            ConfigError: the setting is wrong, or the incarnation is no name of a directory.
        """
        setting = load_settings().store
        if setting is None:
            return ""
        if not self._session.incarnation:
            self._session.open()
        incarnation = self._session.incarnation
        if not (incarnation.isascii() and incarnation.isalnum()):  # it comes from the server, and files are removed there
            raise ConfigError(
                f"the place of the server's data in the file store cannot be {incarnation[:100]!r}: it was changed"
            )
        return f"{setting.value.rstrip('/')}/{incarnation}"
