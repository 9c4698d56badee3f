"""Bundles: the archives of the files that travel with runs. One is kept as long as a run has it, and for an hour."""

from typing import Final

from flowq.store.client.session import Session
from flowq.store.schema.outcomes import Outcome

_UNUSED: Final = 3600  # s; as in bundle/keep


class Bundles:
    """The store's view of bundles."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def keep(self, name: str) -> bool:
        """Return whether a bundle is there; it stays for an hour at least."""
        return Outcome(self._session.run("bundle/keep", name)[0].decode()) is Outcome.DONE

    def put(self, name: str, archive: bytes) -> None:
        """Store the archive of a bundle that is not there."""
        with self._session.translated:
            self._session.client.set(self._keys("bundle", name), archive, nx=True, ex=_UNUSED)

    def get(self, name: str) -> bytes | None:
        """Return the archive of a bundle, None if it is not there."""
        with self._session.translated:
            found: bytes | None = self._session.client.get(self._keys("bundle", name))
        return found
