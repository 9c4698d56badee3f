"""Scripts with small budgets, so that a small graph takes as many steps as a large one."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from flowq.store import jobs
from flowq.store.client import async_connection, session
from flowq.store.client.scripts import Script, load


@contextmanager
def small_steps(budget: int) -> Iterator[None]:
    """Limit every script to `budget` edges and jobs, and to two items of a foreach per call."""

    @cache
    def smaller(name: str, *, bare: bool = False) -> Script:
        return Script(name, lambda: re.sub(r"L\.(drain|spread)\(100\)", rf"L.\1({budget})", load(name, bare=bare).text))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", smaller)
        patch.setattr(async_connection, "load", smaller)
        patch.setattr(session.Session, "functions", False)
        patch.setattr(jobs, "_ITEMS", 2)
        yield
