"""One worker per engine for all cases of a module."""

from collections.abc import Iterator

import pytest

from tests.executors.bench import Bench, bench_of


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with bench_of(request.param) as found:
        yield found
        assert "Traceback" not in found.log.read_text(), found.log.read_text()


@pytest.fixture(autouse=True)
def _clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what the jobs of a case have written."""
    directory = request.getfixturevalue("bench").directory if "bench" in request.fixturenames else None
    yield
    if directory is not None:
        for name in ("pid", "daemon"):
            (directory / name).unlink(missing_ok=True)
