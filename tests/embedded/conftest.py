"""A home whose processes have all ended after the test, including the shell of the watchdog."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.embedded.control import stop_server
from tests.embedded.users import processes
from tests.support.wait import until


@pytest.fixture
def clean_home(home: Path) -> Iterator[Path]:
    yield home
    stop_server(str(home), force=True)
    until(lambda: not processes(home), message=f"the processes of {home} to end")
