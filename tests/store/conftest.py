"""Fixtures of the store's tests."""

from collections.abc import Iterator

import pytest

from flowq.store import Store
from tests.support.slot_driver import Driver


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    """A driver of one slot on the queue `default`."""
    made = Driver(store)
    yield made
    made.close()
