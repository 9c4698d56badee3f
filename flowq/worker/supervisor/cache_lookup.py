"""The records of a job's earlier results, read for the horse that decides whether one is reused (`cache`).

A job is the same job in another run when its flow file, its directory, its name and its cell are: the cell of a matrix by its values,
that of a foreach by its item, wherever it stands in the list. Two checkouts of one project do not share results: `outputs` are files,
and they are in one directory.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flowq.expr import render, to_text
from flowq.plan import Cache, Cell, Json, Node, Plan
from flowq.store.cache import FRESH

if TYPE_CHECKING:
    from flowq.store import Store


def read_cache(store: "Store", cache: Cache, identity: str, scope: Mapping[str, Json], fields: Mapping[str, str]) -> Json:
    """Return the part of a task that is about `cache`.

    Args:
        store: where earlier results are.
        cache: of the job's node.
        identity: of the job, see `identity_of`.
        scope: of its expressions.
        fields: of its record.

    Returns:
        a map of
            id, inputs, outputs    identity and rendered patterns
            key                    the key as JSON, None where there is none
            ttl                    ms for which a result can be taken over, None without a limit
            look                   whether an earlier result may be taken over
            earlier                by digest: whether it is too old, and its record (JSON)
            latest                 what the latest result was made of (JSON), None where there is none
    """
    kept = store.caches.read(identity)
    ttl = None if cache.ttl is None else int(cache.ttl * 1000)
    return {
        "id": identity,
        "inputs": [to_text(render(pattern, scope)) for pattern in cache.inputs],
        "outputs": [to_text(render(pattern, scope)) for pattern in cache.outputs],
        "key": None if cache.key is None else json.dumps(render(cache.key, scope), ensure_ascii=False, sort_keys=True),
        "ttl": ttl,
        "look": cache.take and FRESH not in fields,
        "earlier": {digest: [ttl is not None and age >= ttl, record] for digest, (age, record) in kept.records.items()},
        "latest": kept.latest,
    }


def identity_of(plan: Plan, node: Node, cell: Cell, directory: str, item: Json = None) -> str:
    """Return what makes a job the same job in every run, in a form that can be part of a key.

    Args:
        plan: of the run.
        node: the job.
        cell: its cell.
        directory: where it is executed.
        item: of a cell of a foreach.
    """
    named = node.name if node.foreach is not None else cell.name
    parts = [plan.file or plan.name, directory, named, item]
    if plan.python and node.action.kind == "call":
        parts.append(plan.python)
    told = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]
