"""The files that jobs of runs have left: manifests, contents that are kept here, and where the others are."""

from collections.abc import Mapping, Sequence

from flowq.artifacts.manifest import Manifest, read
from flowq.config import load_settings
from flowq.store.client.session import Session


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
        return [
            {name.decode(): read(stored, job) for name, stored in row.items()} for job, row in zip(jobs, rows, strict=True)
        ]

    def contents(self, job: str, name: str, digests: Sequence[str]) -> list[bytes | None]:
        """Return contents of an artifact that are kept here, None for those that are not there."""
        if not digests:
            return []
        with self._session.translated:
            found: list[bytes | None] = self._session.client.hmget(self._keys("artifact_files", job, name), list(digests))
        return found

    def file_store(self) -> str:
        """Return the address below which the contents of this server's data are in the file store, "" where there is none.

        Each incarnation of the data has a place of its own: what its records do not name can be removed there, whoever else uses the store.

        Raises:
            ConfigError: the setting is wrong.
        """
        setting = load_settings().store
        if setting is None:
            return ""
        if not self._session.incarnation:
            self._session.open()
        return f"{setting.value.rstrip('/')}/{self._session.incarnation}"
