"""The records of a plan to JSON and back. Defaults are omitted, so that 10,000 nodes stay small."""

from collections.abc import Callable
from dataclasses import fields
from itertools import compress
from operator import attrgetter, ne
from sys import intern
from typing import Any, Final, cast

from flowq.plan.bulk import nothing
from flowq.plan.cell_names import ESCAPED, PLAIN, QUOTED, WHOLE, WHOLE_ESCAPED, cell_name
from flowq.plan.records import (
    Action,
    Artifact,
    Cache,
    Cell,
    Concurrency,
    Edge,
    Fetch,
    JobFields,
    Json,
    Node,
    RetryPolicy,
    Selection,
    is_gate,
)

_GROUP, _HIDDEN, _LEFT_OUT = 1, 2, 4  # flags of a cell's row
_SPELLINGS: Final = {PLAIN: 0, QUOTED: 8, WHOLE: 16, ESCAPED: 8 | 32, WHOLE_ESCAPED: 16 | 32}  # flags too
_SPELLED: Final = {flags: spelling for spelling, flags in _SPELLINGS.items()}
_SPELLING: Final = 8 | 16 | 32


def concurrency_from_json(item: dict[str, Json] | None) -> Concurrency | None:
    """Return the limit of its JSON, or None."""
    return None if item is None else Concurrency(**item)


def node_to_json(node: Node) -> dict[str, Json]:
    """Return the JSON of a node."""
    out = non_defaults(node)
    out["action"] = non_defaults(node.action)
    if node.retry is not None:
        out["retry"] = non_defaults(node.retry)
    if node.concurrency is not None:
        out["concurrency"] = non_defaults(node.concurrency)
    if node.cache is not None:
        out["cache"] = non_defaults(node.cache)
    for name in _FILES:
        if name in out:
            out[name] = [non_defaults(item) for item in out[name]]
    return out


def non_defaults(item: Any) -> dict[str, Json]:
    """Return the fields of a record that differ from their defaults."""
    names, values_of, defaults = _SHAPES[type(item)]
    values = values_of(item)
    return dict(compress(zip(names, values, strict=True), map(ne, values, defaults)))


def _shape(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Json, ...]], tuple[Json, ...]]:
    """Return the names of a record's fields, a getter of their values, and their defaults."""
    every = {item.name: item for item in fields(kind)}
    names = tuple(_keys_of_nodes() if kind is Node else every)
    defaults = (every[name] for name in names)
    return names, attrgetter(*names), tuple(nothing() if item.default_factory is nothing else item.default for item in defaults)


def _keys_of_nodes() -> list[str]:
    """Return the fields of a node in the order of the stored form: plans are compared and signed as text."""
    names = [item.name for item in fields(JobFields)]
    own = [item.name for item in fields(Node) if item.name not in names]
    for name in own:
        names.insert(names.index(_BEFORE[name]) if name in _BEFORE else len(names), name)
    return names


_BEFORE: Final = {
    **dict.fromkeys(("name", "line"), "action"),
    **dict.fromkeys(("reads", "scope", "file", "matrix"), "foreach"),
    **dict.fromkeys(("outputs", "flows"), "description"),
}
"""Fields that only nodes have, and the field of `JobFields` before which they are written."""


_SHAPES: Final = {kind: _shape(kind) for kind in (Node, Action, RetryPolicy, Concurrency, Cache, Artifact, Fetch, Selection)}
_FILES: Final = ("artifacts", "fetch")
_WORDS: Final = ("queue", "scope", "file", "stage", "isolation")
_ACTION_WORDS: Final = ("kind", "module", "attribute")
"""Fields with the same text in many nodes: each is kept once."""


def node_from_json(item: dict[str, Json]) -> Node:
    """Return the node from its JSON."""
    known = dict(item)
    action = dict(known.pop("action"))
    _intern(known, _WORDS)
    _intern(action, _ACTION_WORDS)
    for name in ("args", "shell"):
        if name in action:
            action[name] = tuple(action[name])
    known["action"] = Action(**action)
    if "retry" in known:
        retry = dict(known["retry"])
        for name in ("intervals", "on"):
            if name in retry:
                retry[name] = tuple(retry[name])
        known["retry"] = RetryPolicy(**retry)
    if isinstance(known.get("allow_failure"), list):
        known["allow_failure"] = tuple(known["allow_failure"])
    for name in ("reads", "flows"):
        if name in known:
            known[name] = tuple(known[name])
    known["concurrency"] = concurrency_from_json(known.get("concurrency"))
    if "cache" in known:
        cache = dict(known["cache"])
        known["cache"] = Cache(**cache | {name: tuple(cache[name]) for name in ("inputs", "outputs") if name in cache})
    if "artifacts" in known:
        known["artifacts"] = tuple(Artifact(**one | {"path": tuple(one["path"])}) for one in known["artifacts"])
    if "fetch" in known:
        known["fetch"] = tuple(Fetch(**one) for one in known["fetch"])
    return Node(**known)


def _intern(part: dict[str, Json], names: tuple[str, ...]) -> None:
    for name in names:
        if name in part:
            part[name] = intern(part[name])


def cell_to_json(cell: Cell) -> list[Json]:
    """Return the JSON of a cell: a short row, whose position is the ordinal."""
    parents: list[Json] = [
        edge.parent if edge.condition == "success" else [edge.parent, edge.condition] for edge in cell.parents
    ]
    row: list[Json] = [cell.node, parents, None if cell.matrix is None else dict(cell.matrix)]
    flags = (_GROUP if cell.group else 0) | (_HIDDEN if cell.hidden else 0) | (0 if cell.selected else _LEFT_OUT)
    flags |= _SPELLINGS[cell.spelling]
    if cell.own:
        return [*row, flags, cell.phase, cell.queue, dict(cell.own)]
    if cell.queue:
        return [*row, flags, cell.phase, cell.queue]
    if cell.phase:
        return [*row, flags, cell.phase]
    if flags:
        return [*row, flags]
    return row if cell.matrix is not None else row[:2]


_QUEUE: Final = 5  # index of a cell's own queue
_OWN: Final = 6  # … of other fields of its own
FLAGGED: Final = 4  # length of the shortest row of a cell with flags


def is_shown_group(row: list[Json]) -> bool:
    """Return whether a row is a group that users see as a job with cells."""
    return len(row) >= FLAGGED and row[3] & (_GROUP | _HIDDEN) == _GROUP


def is_no_job(row: list[Json]) -> bool:
    """Return whether a row with flags is a group, or hidden from users."""
    return bool(row[3] & (_GROUP | _HIDDEN))


def is_hidden_job(row: list[Json]) -> bool:
    """Return whether a row is a job that is hidden from users."""
    return len(row) >= FLAGGED and row[3] & (_GROUP | _HIDDEN) == _HIDDEN


def as_job(row: list[Json], node: int) -> list[Json]:
    """Return a row as a job without parents, of the node with that index."""
    flags, phase = (row[3] if len(row) >= FLAGGED else 0), (row[4] if len(row) > FLAGGED else "")
    return [node, [], row[2] if len(row) > 2 else None, flags & ~_GROUP, phase, own_queue(row), own_fields(row)]


def own_queue(row: list[Json]) -> str:
    """Return the queue of a row that is not its node's, else ""."""
    return intern(row[_QUEUE]) if len(row) > _QUEUE else ""


def own_fields(row: list[Json]) -> dict[str, Json] | None:
    """Return the fields of a row that are not its node's, None without any."""
    own: dict[str, Json] | None = row[_OWN] if len(row) > _OWN else None
    if own and isinstance(own.get("allow_failure"), list):
        return {**own, "allow_failure": tuple(own["allow_failure"])}
    return own


def cell_from_json(ordinal: int, row: list[Json], nodes: tuple[Node, ...]) -> Cell:
    """Return the cell from its row."""
    node = cast("int", row[0])
    parents = tuple(Edge(item) if isinstance(item, int) else Edge(item[0], item[1]) for item in row[1])
    matrix = row[2] if len(row) > 2 else None
    flags = row[3] if len(row) > 3 else 0
    name = nodes[node].name
    spelling = _SPELLED[flags & _SPELLING]
    return Cell(
        ordinal=ordinal,
        name=name if matrix is None or is_gate(name) else cell_name(name, matrix, spelling),
        node=node,
        parents=parents,
        matrix=matrix,
        group=bool(flags & _GROUP),
        hidden=bool(flags & _HIDDEN),
        phase=row[4] if len(row) > 4 else "",
        selected=not flags & _LEFT_OUT,
        spelling=spelling,
        queue=own_queue(row),
        own=own_fields(row),
    )
