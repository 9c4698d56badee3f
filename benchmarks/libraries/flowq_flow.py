"""flowq's flows: a graph is a flow, compiled when it is prepared and submitted as a whole."""

import json
import os
from collections.abc import Sequence

from redis import Redis

from benchmarks.libraries.flowq import put as put  # noqa: PLC0414 - single calls use the queue
from benchmarks.patterns import Call, Node, Submit
from flowq import Flow

connection = Redis.from_url(os.environ["BENCHMARK_URL"])


def graph(nodes: Sequence[Node]) -> Submit:
    """Compile a flow of these jobs; JSON is YAML too."""
    jobs = {node.name: {**_call(node.call), "depends_on": list(node.parents)} for node in nodes}
    flow = Flow.compile(json.dumps({"name": "benchmark", "jobs": jobs}))
    return lambda: flow.submit(connection=connection)


def _call(call: Call) -> dict[str, object]:
    function, *arguments = call
    return {"call": f"{function.__module__}:{function.__name__}", "args": arguments}
