"""Scripts with changed texts: small budgets, so that a small graph takes as many steps as a large one, and mistakes that tests must find."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from flowq.store import jobs
from flowq.store.client import async_connection, session
from flowq.store.client.scripts import Script, load


@contextmanager
def small_steps(budget: int) -> Iterator[None]:
    """Limit every script to `budget` edges and jobs, and to two items of a foreach per call."""

    with (
        edited(lambda text: re.sub(r"L\.(drain|spread)\(100\)", rf"L.\1({budget})", text)),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(jobs, "_ITEMS", 2)
        yield


@contextmanager
def edited(edit: Callable[[str], str]) -> Iterator[None]:
    """Send every transition as a script, with its text changed by `edit`."""

    @cache
    def other(name: str, *, bare: bool = False) -> Script:
        return Script(name, lambda: edit(load(name, bare=bare).text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", other)
        patch.setattr(async_connection, "load", other)
        patch.setattr(session.Session, "functions", False)
        yield
