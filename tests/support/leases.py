"""Leases of jobs whose workers are dead, without the time in which they expire."""

from flowq.store import Store


def lapse(store: Store) -> None:
    """Let the lease of the only started job expire now, as it does 10 s after the last heartbeat of its worker."""
    leases = store.session.keys("leases")
    assert store.client.zunionstore(leases, {leases: 0}) == 1
