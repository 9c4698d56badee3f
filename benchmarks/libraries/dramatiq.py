"""dramatiq: actors on a Redis broker, pipelines for chains. Results are not kept (the default)."""

import os
from collections.abc import Sequence

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks import noop
from benchmarks.patterns import Call, Submit

broker = RedisBroker(url=os.environ["BENCHMARK_URL"])
dramatiq.set_broker(broker)
_actors = {function: dramatiq.actor(function) for function in (noop.noop, noop.short, noop.mark, noop.since)}


def put(call: Call) -> None:
    """Send one message."""
    function, *arguments = call
    _actors[function].send(*arguments)


def chain(calls: Sequence[Call]) -> Submit:
    """Prepare a chain."""
    messages = [_actors[call[0]].message_with_options(args=call[1:], pipe_ignore=True) for call in calls]
    run: Submit = dramatiq.pipeline(messages).run
    return run
