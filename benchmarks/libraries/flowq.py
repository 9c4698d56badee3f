"""flowq's queue: calls one by one or many in one request, with dependencies (`depends_on`) within that request."""

import os
from collections.abc import Sequence
from uuid import uuid4

from redis import Redis

from benchmarks.patterns import Call, Node, Submit
from flowq import Queue

TIMEOUT = 600  # s of one job, as in `rq`

queue = Queue("default", connection=Redis.from_url(os.environ["BENCHMARK_URL"]))


def put(call: Call) -> None:
    """Enqueue one call."""
    function, *arguments = call
    queue.enqueue(function, *arguments, job_timeout=TIMEOUT)


def put_many(calls: Sequence[Call]) -> None:
    """Enqueue many calls in one request."""
    queue.enqueue_many([Queue.prepare_data(function, arguments, timeout=TIMEOUT) for function, *arguments in calls])


def graph(nodes: Sequence[Node]) -> Submit:
    """Prepare one request for all jobs: a job may depend on an earlier one of the list."""

    def submit() -> None:
        run = uuid4().hex
        data = [
            Queue.prepare_data(
                node.call[0],
                node.call[1:],
                timeout=TIMEOUT,
                job_id=f"{run}-{node.name}",
                depends_on=[f"{run}-{parent}" for parent in node.parents] or None,
            )
            for node in nodes
        ]
        queue.enqueue_many(data)

    return submit
