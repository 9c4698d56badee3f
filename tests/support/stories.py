"""Stories: checks of a store, which must notice mistakes that are put into the code."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

from flowq.store import Store

_Subject = TypeVar("_Subject")


def noticed(store: Store, stories: Iterable[Callable[[_Subject], None]], subject: _Subject) -> list[str]:
    """Return the stories that go wrong, each on an empty store; it is left empty."""
    found = []
    for story in stories:
        store.client.flushall()
        store.open()
        try:
            story(subject)
        except (AssertionError, pytest.fail.Exception):
            found.append(story.__name__)
    store.client.flushall()
    return found
