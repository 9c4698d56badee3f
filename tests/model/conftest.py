"""Fixtures of the model's tests."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.model.explore import Explored, explore
from tests.model.shapes import SHAPES
from tests.model.transitions import Model


@pytest.fixture(scope="session")
def explored() -> Callable[[str], Explored]:
    """All states of the shape with this name; each shape is visited once."""
    return cache(lambda name: explore(Model(SHAPES[name])))
