"""What the process that is asked has done itself."""

import threading
from collections import Counter
from collections.abc import Iterator

from flowq.telemetry.metrics.samples import Histogram, Sample, sample


class ProcessCounts:
    """Counters of one process; its threads share them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._store = Histogram()

    def answered(self, route: str, method: str, status: int) -> None:
        """Count a request. `route`: its path as the table of routes has it, so that labels are bounded."""
        with self._lock:
            self._requests[route, method, status] += 1

    def observed(self, seconds: float) -> None:
        """Count how long the server took to answer."""
        with self._lock:
            self._store.observe(seconds)

    def samples(self) -> Iterator[Sample]:
        """Yield samples of them."""
        with self._lock:
            requests, store = sorted(self._requests.items()), list(self._store.samples("flowq_store_seconds"))
        for (route, method, status), count in requests:
            yield sample("flowq_http_requests_total", count, route=route, method=method, code=str(status))
        yield from store
