"""Expressions whose values are harmless anywhere in a script: numbers, booleans, constants of the file."""

from typing import Final

from flowq.compiler.expressions.constants import has_holes
from flowq.compiler.params.params import Bound
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, written
from flowq.expr import Expression
from flowq.expr.types import ANY, NUMBER, Type, infer, type_of

_COUNTED: Final = Type("map", keys={"attempt": NUMBER})


class HarmlessValues:
    """A predicate for the expressions of one job. Types are inferred on demand."""

    def __init__(self, bound: Bound, matrix: YamlNode | None) -> None:
        self._bound = bound
        self._matrix = matrix

    def __call__(self, expression: Expression) -> bool:
        """Return whether all possible values of an expression are numbers, booleans or constant strings of the file."""
        scope = {
            "params": self._bound.types(),
            "run": _COUNTED,
            "job": _COUNTED,
            "index": NUMBER,
            "matrix": _matrix_type(self._matrix),
        }
        found, _ = infer(expression, scope)
        return found.kind in ("boolean", "number") or found.values is not None


def _matrix_type(matrix: YamlNode | None) -> Type:
    if not isinstance(matrix, MapNode):
        return ANY
    include = matrix.get("include")
    rules = [rule for rule in include.items if isinstance(rule, MapNode)] if isinstance(include, ListNode) else []
    names = {*matrix.entries, *(name for rule in rules for name in rule.entries)} - {"include", "exclude"}
    return Type("map", keys={name: _axis_type([matrix, *rules], name) for name in names})


def _axis_type(places: list[MapNode], name: str) -> Type:
    nodes = [place.entries[name][1] for place in places if name in place.entries]
    values = [item for node in nodes for item in (node.items if isinstance(node, ListNode) else [node])]
    if not all(isinstance(value, ScalarNode) and not has_holes(value) for value in values):
        return ANY
    kinds = {type_of(value.value) for value in values if isinstance(value, ScalarNode)}
    return (
        kinds.pop()
        if kinds <= {NUMBER} and kinds
        else Type("string", values=tuple(written(value) for value in values if isinstance(value, ScalarNode)))
    )
