"""A home whose processes have all ended after the test, including the shell of the watchdog."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.embedded.control import stop_server
from tests.embedded.users import until_ended


@pytest.fixture
def clean_home(home: Path) -> Iterator[Path]:
    yield home
    stop_server(str(home), force=True)
    until_ended(home)
