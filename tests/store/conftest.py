"""Fixtures of the store's tests."""

from collections.abc import Callable, Iterator

import pytest

from flowq.store import Store
from flowq.store.client import scripts
from flowq.store.client.session import Session
from tests.support.slot_driver import Driver


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    """A driver of one slot on the queue `default`."""
    made = Driver(store)
    yield made
    made.close()


@pytest.fixture
def mutate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """Put a mistake into a script: a file, what is right and what is wrong. Scripts are sent as texts, so that the library of other
    tests stays as it is.
    """
    original = scripts._text

    def change(file: str, right: str, wrong: str) -> None:
        assert original(file).count(right) == 1
        monkeypatch.setattr(
            scripts, "_text", lambda item: original(item).replace(right, wrong) if item == file else original(item)
        )
        monkeypatch.setattr(Session, "functions", False)
        scripts.load.cache_clear()

    yield change
    scripts.load.cache_clear()
