"""A supervisor for tests of what one horse does."""

from collections.abc import Iterator

import pytest

from tests.support.supervisor_stub import Stand, survivors
from tests.support.wait import until


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """A fork server, which the tests of a module share."""
    with Stand() as one:
        yield one
    until(lambda: not survivors(one.mark))
