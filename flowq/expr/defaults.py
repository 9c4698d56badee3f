"""Defaults for missing values: the one to suggest, and places where `??` takes a larger right operand than it seems."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowq.expr.functions import FUNCTIONS
from flowq.expr.nodes import (
    Binary,
    Expression,
    FunctionCall,
    Index,
    Literal,
    Member,
    Node,
    Project,
    Reference,
    Ternary,
    Unary,
    children,
)
from flowq.expr.types import kind_of

_VALUES: Final = {"list": "[]", "string": "''", "number": "0", "boolean": "false", "map": "{}"}
_TEXTS: Final = {"string": r"""'\"\"'"""} | {kind: f"'{text}'" for kind, text in _VALUES.items() if kind != "string"}
"""The same as texts for `from_json`."""
_ARGUMENTS: Final = {
    ("contains", 1): "''",
    ("date_add", 0): "'1970-01-01T00:00'",
    ("date_add", 1): "'0d'",
    ("number", 0): "0",
    ("range", 2): "1",
    ("split", 1): "','",
}
"""For arguments with which a function has no value for the one of `_VALUES`."""

_LOOSE: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "&&", "||")


@dataclass(frozen=True, slots=True)
class Swallowing:
    """`left ?? right`, where `right` is an operation without parentheses."""

    start: int
    end: int
    left: Node
    right: Binary


def swallowing(expression: Expression) -> Iterator[Swallowing]:
    """Yield the places where the right operand of `??` is a whole comparison, as in `a ?? b == c`."""
    waiting = [expression.root]
    while waiting:
        node = waiting.pop()
        waiting += children(node)
        if not (isinstance(node, Binary) and node.operator == "??"):
            continue
        right = node.right
        if isinstance(right, Binary) and right.operator in _LOOSE:
            between = expression.source[node.left.end : right.start]
            if not between.rstrip().endswith("("):
                yield Swallowing(node.start, node.end, node.left, right)


def default_for(expression: Expression, reference: Reference, wanted: str) -> str:
    """Return the default to suggest after `??` for a reference.

    Args:
        expression: the expression that contains it.
        reference: the name.
        wanted: the type the whole expression must have, "" for any.
    """
    node, kind, value = expression.root, wanted, _VALUES.get(wanted, "null")
    while (node.start, node.end) != (reference.start, reference.end):
        inner = next((part for part in children(node) if part.start <= reference.start and reference.end <= part.end), None)
        if inner is None:
            break
        needed = _needed(node, inner, kind)
        value = _argument(node, inner, kind) if isinstance(node, FunctionCall) else ""
        node, kind, value = inner, needed, value or _VALUES.get(needed, "null")
    return value


def _argument(call: FunctionCall, part: Node, wanted: str) -> str:
    """Return the default of an argument for which one of its type does not do; else "". `wanted`: the type of the call, "" for any."""
    if call.function == "from_json":
        return _TEXTS.get(wanted, "'null'")
    if call.function in {"min", "max"}:
        others = [kind_of(item.value) for item in call.arguments if isinstance(item, Literal)]
        item = _VALUES["string" if "string" in (wanted, *others) else "number"]
        return f"[{item}]" if len(call.arguments) == 1 else item
    place = next(place for place, item in enumerate(call.arguments) if item is part)
    return _ARGUMENTS.get((call.function, place), "")


def _needed(node: Node, part: Node, wanted: str) -> str:
    """Return the type that a part of a node must have."""
    match node:
        case FunctionCall(function=name, arguments=arguments) if name in FUNCTIONS:
            kinds = FUNCTIONS[name].parameter(next(place for place, item in enumerate(arguments) if item is part))
            return "list" if "list" in kinds else kinds[0]
        case Unary():
            return "boolean"
        case Binary(operator="&&" | "||"):
            return "boolean"
        case Binary(operator="in", right=right):
            return "list" if part is right else "string" if isinstance(right, Literal) else ""
        case Binary(operator="<" | "<=" | ">" | ">=" | "==" | "!=", left=left, right=right):
            other = right if part is left else left
            return kind_of(other.value) if isinstance(other, Literal) else ""
        case Binary(operator="??"):
            return wanted
        case Ternary(test=test):
            return "boolean" if part is test else wanted
        case Project(base=base):
            return "list" if part is base else ""
        case Index(base=base):
            return "" if part is base else "number"
        case Member():
            return "map"
        case _:
            return ""
