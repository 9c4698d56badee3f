"""Expressions whose values are harmless anywhere in a script: numbers, booleans, and what is made of constants of the file."""

from dataclasses import replace
from typing import Final

from flowq.compiler.expressions.constants import has_holes
from flowq.compiler.params.params import TYPES, Bound, ParamSpec, has_expressions
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, written
from flowq.expr import Expression
from flowq.expr.nodes import Binary, FunctionCall, Index, ListLiteral, Literal, MapLiteral, Member, Name, Node, Project, Ternary
from flowq.expr.types import ANY, BOOLEAN, NUMBER, Type, infer, type_of

_COUNTED: Final = Type("map", keys={"attempt": NUMBER})


class HarmlessValues:
    """A predicate for the expressions of one job, or of the flow's `env`. Types are inferred on demand."""

    def __init__(self, bound: Bound, matrix: YamlNode | None = None, *environments: YamlNode | None) -> None:
        """Take the params, the job's matrix, and the maps `env` of the job and its flow: an earlier one wins."""
        self._bound = bound
        self._matrix = matrix
        self._environments = environments

    def __call__(self, expression: Expression) -> bool:
        """Return whether all possible values of an expression are numbers, booleans or constant strings of the file."""
        scope = {
            "params": Type("map", keys={spec.name: _param_type(spec) for spec in self._bound.specs}),
            "run": _COUNTED,
            "job": _COUNTED,
            "index": NUMBER,
            "matrix": _matrix_type(self._matrix),
        }
        return self._fixed(expression.root, expression, scope)

    def _fixed(self, node: Node, whole: Expression, scope: dict[str, Type]) -> bool:
        found, _ = infer(replace(whole, root=node), scope)
        if found.kind in ("boolean", "number", "null") or found.values is not None:
            return True
        parts: tuple[Node, ...]
        match node:
            case Literal():
                return True
            case Member(base=Name(name="env"), key=key):
                return self._constant_variable(key)
            case Member(base=Name(name="matrix"), key=key):
                return _constant_axis(self._matrix, key)
            case Member(base=base) | Index(base=base) | Project(base=base):
                parts = (base,)
            case Ternary(yes=yes, no=no):
                parts = (yes, no)
            case Binary(left=left, right=right):
                parts = (left, right)
            case FunctionCall(arguments=arguments):
                parts = arguments
            case ListLiteral(items=items):
                parts = items
            case MapLiteral(items=pairs):
                parts = tuple(value for _, value in pairs)
            case _:
                return False
        return all(self._fixed(part, whole, scope) for part in parts)

    def _constant_variable(self, name: str) -> bool:
        for environment in self._environments:
            if isinstance(environment, MapNode) and name in environment.entries:
                return not has_expressions(environment.entries[name][1])
        return False  # from a file of variables, which others may write


def _param_type(spec: ParamSpec) -> Type:
    """Return the type of a param; null, the value of an optional one without a default, is as harmless as a number."""
    if spec.type in ("integer", "number") or spec.type not in TYPES:  # an unknown type is reported already
        return NUMBER
    return BOOLEAN if spec.type == "boolean" else replace(spec, required=True).static_type


def _constant_axis(matrix: YamlNode | None, name: str) -> bool:
    if not isinstance(matrix, MapNode) or has_holes(matrix):
        return False
    nodes = [place.entries[name][1] for place in _places(matrix) if name in place.entries]
    return bool(nodes) and not any(has_expressions(node) for node in nodes)


def _places(matrix: MapNode) -> list[MapNode]:
    """Return the maps of a matrix that give values to its axes: itself and those of `include`."""
    include = matrix.get("include")
    if include is not None and not isinstance(include, ListNode):
        return []  # an expression: its values are not known
    return [matrix, *(rule for rule in include.items if isinstance(rule, MapNode))] if include is not None else [matrix]


def _matrix_type(matrix: YamlNode | None) -> Type:
    if not isinstance(matrix, MapNode):
        return ANY
    places = _places(matrix)
    names = {name for place in places for name in place.entries} - {"include", "exclude"}
    return Type("map", keys={name: _axis_type(places, name) for name in names})


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
