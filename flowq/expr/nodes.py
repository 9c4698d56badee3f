"""The syntax tree of an expression, and `Expression`, its root.

Every node keeps its span (`start`, `end`: offsets into the source), so that an error can point at the wrong operand.
"""

from dataclasses import dataclass, field
from typing import Any, TypeAlias

Json: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Literal:
    """null, true, false, a number or a string."""

    start: int
    end: int
    value: Json


@dataclass(frozen=True, slots=True)
class ListLiteral:
    """`[a, b]`."""

    start: int
    end: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class MapLiteral:
    """`{a: 1, "b c": 2}`; keys are constant."""

    start: int
    end: int
    items: tuple[tuple[str, "Node"], ...]


@dataclass(frozen=True, slots=True)
class Name:
    """A root name: `params`, `jobs`, …"""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`base.key`, or `base["key"]` with a constant string. `key_start` is the offset of the key."""

    start: int
    end: int
    base: "Node"
    key: str
    key_start: int


@dataclass(frozen=True, slots=True)
class Index:
    """`base[index]`, where the index is not a constant string."""

    start: int
    end: int
    base: "Node"
    index: "Node"


@dataclass(frozen=True, slots=True)
class Project:
    """`base[*]` and the path after it: `tail` holds the keys and indexes applied to every item."""

    start: int
    end: int
    base: "Node"
    tail: tuple["str | Node", ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`!operand`."""

    start: int
    end: int
    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`."""

    start: int
    end: int
    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Ternary:
    """`test ? yes : no`."""

    start: int
    end: int
    test: "Node"
    yes: "Node"
    no: "Node"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`function(arguments)`."""

    start: int
    end: int
    function: str
    arguments: tuple["Node", ...]


Node: TypeAlias = Literal | ListLiteral | MapLiteral | Name | Member | Index | Project | Unary | Binary | Ternary | FunctionCall


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in an expression, with its constant path: `jobs.fetch.result[0].x` is `("jobs", "fetch", "result", 0, "x")`.

    `guarded`: a missing value is no error, because the name is the left operand of `??` or compared with null.
    """

    path: tuple[str | int, ...]
    start: int
    end: int
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression."""

    source: str
    root: Node
    _references: list[tuple[Reference, ...]] = field(default_factory=list, init=False, repr=False, compare=False)

    def references(self) -> tuple[Reference, ...]:
        """Return every name in the expression, in the order of the source. Cached: many jobs have the same expressions."""
        if not self._references:
            found: list[Reference] = []
            _collect(self.root, found, guarded=False)
            self._references.append(tuple(found))
        return self._references[0]


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node."""
    match node:
        case ListLiteral(items=items):
            return items
        case MapLiteral(items=pairs):
            return tuple(value for _, value in pairs)
        case Member(base=base):
            return (base,)
        case Index(base=base, index=index):
            return (base, index)
        case Project(base=base, tail=tail):
            return (base, *(part for part in tail if not isinstance(part, str)))
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Ternary(test=test, yes=yes, no=no):
            return (test, yes, no)
        case FunctionCall(arguments=arguments):
            return arguments
        case _:
            return ()


def _collect(node: Node, found: list[Reference], *, guarded: bool) -> None:
    path = _path(node)
    if path is not None:
        found.append(Reference(path, node.start, node.end, guarded))
    if isinstance(node, (Name, Member, Index, Project)):
        _collect_chain(node, found, guarded=guarded, named=path is not None)
        return
    guard_left, guard_right = _guards(node, guarded)
    for position, child in enumerate(children(node)):
        _collect(child, found, guarded=guard_left if position == 0 else guard_right)


def _collect_chain(node: Node, found: list[Reference], *, guarded: bool, named: bool) -> None:
    """Walk down `a.b[c].d`: the longest constant prefix is one reference; computed indexes are collected separately."""
    if isinstance(node, (Member, Index, Project)):
        if named:
            return
        if (prefix := _path(node.base)) is not None:
            found.append(Reference(prefix, node.base.start, node.base.end, guarded))
        else:
            _collect(node.base, found, guarded=guarded)
        for part in children(node)[1:]:
            _collect(part, found, guarded=False)


def _guards(node: Node, guarded: bool) -> tuple[bool, bool]:
    """Return whether the first part and the other parts of a node are guarded."""
    if isinstance(node, Binary) and node.operator == "??":
        return True, guarded
    if isinstance(node, Binary) and node.operator in ("==", "!="):
        null_side = any(isinstance(side, Literal) and side.value is None for side in (node.left, node.right))
        return null_side, null_side
    return False, False


def _path(node: Node) -> tuple[str | int, ...] | None:
    """Return the constant path of a chain, or None if it is not constant."""
    parts: list[str | int] = []
    while not isinstance(node, Name):
        if isinstance(node, Member):
            parts.append(node.key)
        elif isinstance(node, Index) and isinstance(node.index, Literal) and isinstance(node.index.value, int):
            parts.append(node.index.value)
        else:
            return None
        node = node.base
    return (node.name, *reversed(parts))
