"""What redis-py imports beside itself."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_METRICS: Final = ("opentelemetry.metrics", "opentelemetry.sdk.metrics")


@contextmanager
def without_metrics() -> Iterator[None]:
    """Let redis-py be imported without OpenTelemetry, where that is installed: a quarter of the time of its import.

    It is for processes of flowq's own, which never ask redis-py for metrics. Other importers of OpenTelemetry are not affected: it is
    hidden until the block ends, and only where nothing has imported it before.
    """
    hidden = [name for name in _METRICS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: an import of it fails
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
