"""Static types of expressions.

A type is a kind; a list also has the type of its items, and a map the types of its known keys. `ANY` means "unknown" and fits
everywhere. Inference reports an error only if no value could make the expression work.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flowq.expr.folding import constant_problem
from flowq.expr.functions import FUNCTIONS, FunctionSignature, function_help
from flowq.expr.nodes import (
    Binary,
    Expression,
    FunctionCall,
    Index,
    Json,
    ListLiteral,
    Literal,
    MapLiteral,
    Member,
    Name,
    Node,
    Project,
    Ternary,
    Unary,
)


@dataclass(frozen=True, slots=True)
class Type:
    """A static type. `kind` is one of `null boolean number string list map any`.

    Attributes:
        kind: one of the names above.
        item: the type of the items of a list.
        keys: the keys of a map, if all are known.
        values: the only values that a string can have.
        meant: wrong values that users write, with the right one of each.
        output: whether it is an output that a script wrote as text, which help lines tell.
        part: the name of a key in messages, if a key outside `keys` is an error: "output of `fetch`".
    """

    kind: str
    item: "Type | None" = None
    keys: Mapping[str, "Type"] | None = field(default=None, hash=False)
    values: tuple[str, ...] | None = None
    meant: Mapping[str, str] | None = field(default=None, hash=False, compare=False)
    part: str = ""
    output: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return {"any": "any value"}.get(self.kind, self.kind)


ANY: Final = Type("any")
NULL: Final = Type("null")
BOOLEAN: Final = Type("boolean")
NUMBER: Final = Type("number")
STRING: Final = Type("string")
LIST: Final = Type("list", ANY)
MAP: Final = Type("map")

_BY_KIND: Final = {item.kind: item for item in (ANY, NULL, BOOLEAN, NUMBER, STRING, LIST, MAP)}
_UNQUOTED = re.compile(r"-?[0-9]+(\.[0-9]+)?|true|false|null")
MAX_SHOWN: Final = 12  # values listed in a message
_ORDERED: Final = ("number", "string", "any")


@dataclass(frozen=True, slots=True)
class TypeProblem:
    """A type error in an expression. `start`, `end` are offsets into its source."""

    message: str
    start: int
    end: int
    help: str = ""
    unknown_function: bool = False
    unknown_name: bool = False


def type_of(value: Json) -> Type:
    """Return the type of a known value, with its keys and items."""
    if isinstance(value, dict):
        return Type("map", keys={key: type_of(item) for key, item in value.items()})
    if isinstance(value, list):
        return Type("list", common([type_of(item) for item in value]))
    return _BY_KIND[kind_of(value)]


def kind_of(value: Json) -> str:
    """Return the name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "list" if isinstance(value, list) else "map"


def common(types: list[Type]) -> Type:
    """Return the type that all of them have, or `ANY`."""
    if not types:
        return ANY
    first = types[0]
    if all(item == first for item in types):
        return first
    return _BY_KIND[first.kind] if all(item.kind == first.kind for item in types) else ANY


def infer(expression: Expression, scope: Mapping[str, Type]) -> tuple[Type, list[TypeProblem]]:
    """Return the type of an expression and its type errors.

    Args:
        expression: the parsed expression.
        scope: the type of each root name. Other names are `ANY`: the caller, who knows the legal names, reports unknown ones.
    """
    problems: list[TypeProblem] = []
    return _Inference(expression.source, scope, problems).of(expression.root), problems


class _Inference:
    def __init__(self, source: str, scope: Mapping[str, Type], problems: list[TypeProblem]) -> None:
        self._source = source
        self._scope = scope
        self._problems = problems

    def of(self, node: Node) -> Type:
        match node:
            case Literal(value=value):
                return type_of(value)
            case Name(name=name):
                return self._scope.get(name, ANY)
            case ListLiteral(items=items):
                return Type("list", common([self.of(item) for item in items]))
            case MapLiteral(items=pairs):
                return Type("map", keys={key: self.of(value) for key, value in pairs})
            case Member(base=base, key=key):
                return self._member(node, self.of(base), key)
            case Index(base=base, index=index):
                return self._index(node, self.of(base), index)
            case Project():
                return self._project(node)
            case Unary(operand=operand):
                self._boolean(operand, "!")
                return BOOLEAN
            case Ternary(test=test, yes=yes, no=no):
                self._boolean(test, "? :")
                return common([self.of(yes), self.of(no)])
            case Binary():
                return self._binary(node)
            case FunctionCall():
                return self._call(node)

    def _problem(self, node: Node, message: str, help: str = "") -> None:  # noqa: A002 - the diagnostics' word for it
        self._problems.append(TypeProblem(message, node.start, node.end, help))

    def _boolean(self, node: Node, operator: str) -> None:
        found = self.of(node)
        if found.kind not in ("boolean", "any"):
            hint = self._convert(node, found, "boolean") or _boolean_help(found)
            self._problem(node, f"{operator} needs a boolean, this is a {found}", hint)

    def _member(self, node: Member, base: Type, key: str) -> Type:
        if base.kind not in ("map", "any"):
            self._problem(node, f"only a map has named parts, this is a {base}", self._convert(node.base, base, "map"))
            return ANY
        return self._key(node, base, key)

    def _key(self, node: Node, base: Type, key: str) -> Type:
        keys = base.keys
        if keys is not None and key not in keys and base.part:
            close = _close(key, tuple(keys))
            hint = (
                f"did you mean {close}?" if close else f"it has {', '.join(list(keys)[:MAX_SHOWN])}" if keys else "it has none"
            )
            message = f"there is no {base.part} called `{key[:60]}`"
            self._problems.append(TypeProblem(message, node.start, node.end, hint, unknown_name=True))
        return keys.get(key, ANY) if keys is not None else ANY

    def _index(self, node: Index, base: Type, index: Node) -> Type:
        found = self.of(index)
        if base.kind == "list":
            if found.kind not in ("number", "any"):
                self._problem(index, f"a list is indexed with a number, this is a {found}")
            return base.item or ANY
        if base.kind == "map":
            if found.kind not in ("string", "any"):
                self._problem(index, f"a map is indexed with a string, this is a {found}")
            return ANY
        if base.kind != "any":
            hint = self._convert(node.base, base, "list")
            self._problem(node, f"only lists and maps have parts, this is a {base}", hint)
        return ANY

    def _project(self, node: Project) -> Type:
        base = self.of(node.base)
        if base.kind not in ("list", "any"):
            self._problem(node, f"[*] needs a list, this is a {base}", self._convert(node.base, base, "list"))
            return LIST
        item = base.item or ANY
        for part in node.tail:
            if isinstance(part, str) and item.kind not in ("map", "any"):
                self._problem(node, f"only a map has named parts, the items of this list are {item}s")
                return LIST
            if isinstance(part, str):
                item = self._key(node, item, part)
            else:
                self.of(part)
                item = ANY
        return Type("list", item)

    def _binary(self, node: Binary) -> Type:
        if node.operator in ("&&", "||"):
            self._boolean(node.left, node.operator)
            self._boolean(node.right, node.operator)
            return BOOLEAN
        left, right = self.of(node.left), self.of(node.right)
        if node.operator == "??":
            return right if left.kind == "null" else common([left, right])
        if node.operator == "in":
            self._contains(node, left, right)
        elif node.operator in ("==", "!="):
            self._comparable(node, left, right)
        else:
            self._ordered(node, left, right)
        return BOOLEAN

    def _contains(self, node: Binary, left: Type, right: Type) -> None:
        if right.kind not in ("list", "map", "string", "any"):
            self._problem(node.right, f"`in` looks into a list, a map or a string, this is a {right}")
        elif right.kind in ("map", "string") and left.kind not in ("string", "any"):
            self._problem(node.left, f"`in` looks for a string in a {right}, this is a {left}")
        elif isinstance(node.right, ListLiteral):
            for item in node.right.items:
                self._possible(left, item, node.left)

    def _comparable(self, node: Binary, left: Type, right: Type) -> None:
        kinds = {left.kind, right.kind}
        if len(kinds) == 2 and not kinds & {"any", "null"}:
            self._problem(
                node,
                f"a {left} and a {right} are never equal: `{node.operator}` always gives {str(node.operator == '!=').lower()}",
                self._side_help(node, left, right),
            )
        self._possible(left, node.right, node.left)
        self._possible(right, node.left, node.right)

    def _possible(self, found: Type, other: Node, named: Node) -> None:
        """Report a comparison with a string that the other operand can never be: `jobs.a.status == 'success'`."""
        if found.values is None or not isinstance(other, Literal) or not isinstance(other.value, str):
            return
        if other.value not in found.values:
            name = self._source[named.start : named.end]
            meant = (found.meant or {}).get(other.value.lower()) or _close(other.value, found.values)
            hint = f"did you mean '{meant}'? " if meant else ""
            shown = [f"'{value}'" for value in found.values[:MAX_SHOWN]]
            more = f" and {len(found.values) - MAX_SHOWN} more" if len(found.values) > MAX_SHOWN else ""
            self._problem(other, f"`{name}` is never {other.value[:60]!r}", f"{hint}it can be {', '.join(shown)}{more}")

    def _ordered(self, node: Binary, left: Type, right: Type) -> None:
        for side, found in ((node.left, left), (node.right, right)):
            if found.kind not in _ORDERED:
                self._problem(side, f"{node.operator} compares two numbers or two strings, this is a {found}")
                return
        if "any" not in (left.kind, right.kind) and left.kind != right.kind:
            message = f"{node.operator} compares two numbers or two strings, found a {left} and a {right}"
            self._problem(node, message, self._side_help(node, left, right))

    def _side_help(self, node: Binary, left: Type, right: Type) -> str:
        """Return the help for operands of two types: convert an output of a script, or mend the quotes."""
        return self._convert(node.left, left, right.kind) or self._convert(node.right, right, left.kind) or _quote_help(node)

    def _convert(self, node: Node, found: Type, wanted: str) -> str:
        return output_help(self._source[node.start : node.end], wanted) if found.output else ""

    def _call(self, node: FunctionCall) -> Type:
        before = len(self._problems)
        arguments = [self.of(argument) for argument in node.arguments]
        signature = FUNCTIONS.get(node.function)
        if signature is None:
            message = f"there is no function {node.function}()"
            self._problems.append(
                TypeProblem(
                    message, node.start, node.start + len(node.function), function_help(node.function), unknown_function=True
                )
            )
            return ANY
        if not signature.fits(len(arguments)):
            self._problem(
                node, f"{node.function}() takes {signature.counts()}, found {len(arguments)}", f"it is {signature.usage}"
            )
            return _BY_KIND[signature.result]
        for position, (argument, found) in enumerate(zip(node.arguments, arguments, strict=True)):
            self._argument(node, signature, position, argument, found)
        result = self._result(node, signature, arguments)
        if len(self._problems) == before and (problem := constant_problem(node)):
            self._problem(node, problem, f"it is {signature.usage}")
        return result

    def _result(self, node: FunctionCall, signature: FunctionSignature, arguments: list[Type]) -> Type:
        first = arguments[0]
        match node.function:
            case "min" | "max":
                return self._extreme(node, arguments)
            case "sum" if first.item is not None and first.item.kind not in ("number", "any"):
                self._problem(
                    node.arguments[0], f"sum() needs a list of numbers, this is one of {first.item}s", _list_help(first.item)
                )
            case "split" | "keys":
                return Type("list", STRING)
            case "range":
                return Type("list", NUMBER)
            case "values" if first.keys:
                return Type("list", common(list(first.keys.values())))
            case _:
                pass
        return _BY_KIND[signature.result]

    def _extreme(self, node: FunctionCall, arguments: list[Type]) -> Type:
        if len(arguments) == 1:
            if arguments[0].kind not in ("list", "number", "string", "any"):
                self._problem(node.arguments[0], f"{node.function}() needs numbers or strings, found a {arguments[0]}")
                return ANY
            arguments = [arguments[0].item or ANY] if arguments[0].kind == "list" else arguments
        for argument, found in zip(node.arguments, arguments, strict=True):
            if found.kind not in _ORDERED:
                self._problem(argument, f"{node.function}() needs numbers or strings, found a {found}")
                return ANY
        kinds = {found.kind for found in arguments} - {"any"}
        if len(kinds) > 1:
            self._problem(
                node, f"{node.function}() needs only numbers or only strings", "there is no implicit conversion between types"
            )
        return _BY_KIND[kinds.pop()] if len(kinds) == 1 and all(found.kind != "any" for found in arguments) else ANY

    def _argument(self, node: FunctionCall, signature: FunctionSignature, position: int, argument: Node, found: Type) -> None:
        wanted = signature.parameter(position)
        if found.kind != "any" and "any" not in wanted and found.kind not in wanted:
            expected = " or ".join(wanted)
            hint = self._convert(argument, found, wanted[0]) or f"it is {signature.usage}"
            self._problem(argument, f"{node.function}() needs a {expected} here, this is a {found}", hint)


def output_help(source: str, wanted: str) -> str:
    """Return the help for an output that a script wrote as text, where another type is needed."""
    how = {"number": f"number({source})", "boolean": f"{source} == 'true'"}.get(wanted, f"from_json({source})")
    return f"the script writes it as a string: {how}; or let it write a line of JSON, whose values keep their types"


def _close(text: str, known: tuple[str, ...]) -> str:
    return next(iter(difflib.get_close_matches(text[:100], known[:500], n=1)), "")


def _list_help(item: Type) -> str:
    return "let the script write a line of JSON, whose values keep their types" if item.output else ""


def _boolean_help(found: Type) -> str:
    if found.kind == "string":
        return "compare it: x != ''"
    if found.kind == "number":
        return "compare it: x != 0"
    if found.kind in ("list", "map"):
        return "compare its length: len(x) > 0"
    return "compare it: x != null"


def _quote_help(node: Binary) -> str:
    for side, other in ((node.left, node.right), (node.right, node.left)):
        if isinstance(side, Literal) and not isinstance(other, Literal):
            if isinstance(side.value, str) and _UNQUOTED.fullmatch(side.value):
                return f"without the quotes? {side.value}"
            if isinstance(side.value, (int, float)) and not isinstance(side.value, bool):
                return f"with quotes? '{side.value}'"
    return "there is no implicit conversion between types"
