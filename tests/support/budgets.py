"""Transitions with changed texts: small budgets, so that a small graph takes as many steps as a large one, and mistakes that tests must find."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from flowq.store import jobs
from flowq.store.client import scripts


@contextmanager
def small_steps(budget: int) -> Iterator[None]:
    """Limit every transition to `budget` edges and jobs, and to two items of a foreach per call."""

    with (
        edited(lambda _name, text: re.sub(r"L\.(drain|spread)\(100\)", rf"L.\1({budget})", text)),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(jobs, "_ITEMS", 2)
        yield


@contextmanager
def edited(edit: Callable[[str, str], str]) -> Iterator[None]:
    """Let this process use the Lua files with their texts changed by `edit`, which gets the name and the text of each."""
    texts = {name: edit(name, scripts._text(name)) for name in scripts._names()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scripts, "_text", texts.__getitem__)
        _forget()
        try:
            yield
        finally:
            _forget()


def _forget() -> None:
    kept = (
        scripts.load,
        scripts.read_header,
        scripts._commands_in,
        scripts.library_name,
        scripts.library_text,
        scripts.function_name,
    )
    for of_texts in kept:
        of_texts.cache_clear()
