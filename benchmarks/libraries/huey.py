"""huey: tasks of one `RedisHuey`, `then` for chains. It keeps results other than None."""

import os
from collections.abc import Sequence

from huey import RedisHuey

from benchmarks import noop
from benchmarks.patterns import Call, Submit

huey = RedisHuey("benchmarks", url=os.environ["BENCHMARK_URL"])
_tasks = {function: huey.task()(function) for function in (noop.noop, noop.short, noop.mark, noop.since)}


def put(call: Call) -> None:
    """Enqueue one task."""
    function, *arguments = call
    _tasks[function](*arguments)


def chain(calls: Sequence[Call]) -> Submit:
    """Prepare a chain."""
    (function, *arguments), *others = calls
    pipeline = _tasks[function].s(*arguments)
    for other, *more in others:
        pipeline = pipeline.then(_tasks[other], *more)
    return lambda: huey.enqueue(pipeline)
