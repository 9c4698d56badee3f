"""SAQ: coroutines on an event loop. It has no chains; jobs and results are kept."""

import asyncio
import os
from typing import Any

from saq.queue.redis import RedisQueue

from benchmarks import noop
from benchmarks.patterns import Call

queue = RedisQueue.from_url(os.environ["BENCHMARK_URL"])
_loop = asyncio.new_event_loop()


async def call(_context: dict[str, Any], *, name: str, arguments: list[Any]) -> None:
    """Call a function of `noop` as a job of SAQ: a coroutine with keyword arguments."""
    getattr(noop, name)(*arguments)


settings = {"queue": queue, "functions": [call], "concurrency": int(os.environ.get("BENCHMARK_SLOTS", "1"))}


def put(asked: Call) -> None:
    """Enqueue one job."""
    function, *arguments = asked
    _loop.run_until_complete(queue.enqueue("call", name=function.__name__, arguments=arguments))
