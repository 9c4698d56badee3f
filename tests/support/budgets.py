"""Scripts that do less at a time, so that a small graph takes the many steps that a large one takes."""

import hashlib
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
    """Let every script deal with `budget` edges and jobs at most, and stage two items of a foreach at a time."""

    @cache
    def smaller(name: str) -> Script:
        text = re.sub(r"L\.(drain|spread)\(100\)", rf"L.\1({budget})", load(name).text)
        return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", smaller)
        patch.setattr(async_connection, "load", smaller)
        patch.setattr(jobs, "_ITEMS", 2)
        yield
