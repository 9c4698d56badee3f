"""RQ: calls one by one, many in one pipeline, dependencies with `depends_on`."""

import os
from collections.abc import Sequence

from redis import Redis
from rq import Queue

from benchmarks.patterns import Call, Node, Submit

TIMEOUT = 600  # s of one job, as in `flowq`: both sides set and clear the same alarm

queue = Queue("default", connection=Redis.from_url(os.environ["BENCHMARK_URL"]))


def put(call: Call) -> None:
    """Enqueue one call."""
    function, *arguments = call
    queue.enqueue(function, *arguments, job_timeout=TIMEOUT)


def put_many(calls: Sequence[Call]) -> None:
    """Enqueue many calls in one pipeline."""
    queue.enqueue_many([Queue.prepare_data(function, arguments, timeout=TIMEOUT) for function, *arguments in calls])


def graph(nodes: Sequence[Node]) -> Submit:
    """Prepare enqueueing one by one: a job names earlier jobs as its dependencies."""

    def submit() -> None:
        ids: dict[str, str] = {}
        for node in nodes:
            function, *arguments = node.call
            parents = [ids[parent] for parent in node.parents] or None
            ids[node.name] = queue.enqueue(function, *arguments, depends_on=parents, job_timeout=TIMEOUT).id

    return submit
