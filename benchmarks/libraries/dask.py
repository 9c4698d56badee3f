"""Dask's distributed scheduler: a cluster of processes with one thread each, graphs with `delayed`. It has no queue to fill beforehand."""

import os
from collections.abc import Sequence
from typing import Any

from dask.base import compute
from dask.delayed import Delayed, delayed
from distributed import Client, Future, LocalCluster

from benchmarks.patterns import Call, Node, Submit

_kept: list[Future] = []  # Dask drops a computation whose future is garbage-collected


def put(call: Call) -> None:
    """Submit one call."""
    function, *arguments = call
    _kept.append(_client().submit(function, *arguments, pure=False))


def graph(nodes: Sequence[Node]) -> Submit:
    """Prepare a graph of delayed calls; the last job depends on all others, directly or indirectly."""
    made: dict[str, Delayed] = {}
    for node in nodes:
        made[node.name] = delayed(_after, pure=False)([made[parent] for parent in node.parents], *node.call)
    client = _client()
    return lambda: compute(made[nodes[-1].name], scheduler=client)


def _after(_parents: Sequence[None], *call: Any) -> None:
    function, *arguments = call
    function(*arguments)


_clients: list[Client] = []


def _client() -> Client:
    if not _clients:
        slots = int(os.environ.get("BENCHMARK_SLOTS", "1"))
        cluster = LocalCluster(n_workers=slots, threads_per_worker=1, dashboard_address=None)
        _clients.append(Client(cluster))
    return _clients[0]
