"""The value of an expression in a scope of plain JSON values.

A tree walker with a budget of steps. It never accesses an attribute of a Python object: `.name` only looks up a key of a map.
"""

import difflib
from collections.abc import Mapping
from typing import Final

from flowq.expr.errors import AbsentError, EvalError
from flowq.expr.functions import FUNCTIONS, MAX_TEXT, contains, function_help, same, text_of
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
    children,
)
from flowq.expr.parser import parse
from flowq.expr.types import kind_of

MAX_STEPS: Final = 1_000_000  # nodes visited, plus items of projections
MAX_MADE: Final = 2 * MAX_TEXT  # characters created by the functions of one evaluation; an item of a list counts as 16

_WRITTEN: Final = frozenset({"to_json", "join", "format"})  # functions that serialize a whole value
_SHORT: Final = 16  # characters; shorter strings are counted only inside repeated lists and maps


def evaluate(expression: str | Expression, scope: Mapping[str, Json]) -> Json:
    """Return the value of an expression.

    Args:
        expression: parsed, or its source.
        scope: root names with their values, plain JSON.

    Raises:
        ExprSyntaxError: the source does not parse.
        EvalError: there is no value; the message says why and names the part of the expression.
    """
    parsed = parse(expression) if isinstance(expression, str) else expression
    try:
        value = _Evaluation(parsed.source, scope).of(parsed.root)
        if isinstance(value, (list, dict)) and _builds(parsed.root):
            check_repeated(value)
    except RecursionError as error:
        raise EvalError(f"{parsed.source}: a value is nested too deeply") from error
    return value


def to_text(value: Json) -> str:
    """Return a value as it appears inside a string: strings unchanged, everything else as JSON."""
    try:
        return text_of(value)
    except RecursionError as error:
        raise EvalError("a value is nested too deeply to become text") from error


def check_repeated(value: Json) -> None:
    """Refuse a value that contains the same long strings, lists or maps too often.

    Memory holds a shared part once, but JSON repeats it at each place, so that a short expression could become unboundedly long.

    Raises:
        EvalError: the repeated parts would be too large.
    """
    seen: set[int] = set()
    repeated = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        inner = item if isinstance(item, list) else item.values() if isinstance(item, dict) else ()
        if not inner and not (isinstance(item, str) and len(item) > _SHORT):
            continue
        if id(item) in seen:
            repeated += _size(item) + sum(len(part) for part in inner if isinstance(part, str) and len(part) <= _SHORT)
            if repeated > MAX_TEXT:
                raise EvalError(f"the value has the same things in it again and again, more than {MAX_TEXT:,} characters")
        seen.add(id(item))
        waiting += inner


def _builds(node: Node) -> bool:
    """Return whether an expression builds lists or maps, which may contain a value several times."""
    return isinstance(node, (ListLiteral, MapLiteral, Project)) or any(map(_builds, children(node)))


class _Evaluation:
    def __init__(self, source: str, scope: Mapping[str, Json]) -> None:
        self._source = source
        self._scope = scope
        self._steps = 0
        self._made = 0

    def of(self, node: Node) -> Json:
        self._step(1)
        match node:
            case Literal(value=value):
                return value
            case Name(name=name):
                return self._root(name)
            case Member(base=base, key=key):
                return self._part(node, self.of(base), key)
            case Index(base=base, index=index):
                return self._part(node, self.of(base), self.of(index))
            case Project():
                return self._project(node)
            case Binary():
                return self._binary(node)
            case FunctionCall():
                return self._call(node)
            case Unary(operand=operand):
                return not self._boolean(operand, "!")
            case Ternary(test=test, yes=yes, no=no):
                return self.of(yes if self._boolean(test, "? :") else no)
            case ListLiteral(items=items):
                return [self.of(item) for item in items]
            case MapLiteral(items=pairs):
                return {key: self.of(value) for key, value in pairs}

    def _step(self, count: int) -> None:
        self._steps += count
        if self._steps > MAX_STEPS:
            raise EvalError(f"the expression takes more than {MAX_STEPS:,} steps")

    def _text(self, node: Node) -> str:
        text = self._source[node.start : node.end]
        return text if len(text) <= 80 else text[:77] + "..."

    def _error(self, node: Node, message: str) -> EvalError:
        return EvalError(f"{self._text(node)}: {message}")

    def _root(self, name: str) -> Json:
        if name not in self._scope:
            raise EvalError(f"unknown name {name}: known here are {', '.join(sorted(self._scope))}")
        return self._scope[name]

    def _part(self, node: Node, base: Json, key: Json) -> Json:
        if base is None:
            raise AbsentError(f"{self._text(node)}: null has no parts: give a fallback with ??")
        if isinstance(base, dict) and isinstance(key, str):
            if key not in base:
                raise AbsentError(f"{self._text(node)}: there is no {key!r}{_there(key, base)}")
            return base[key]
        if isinstance(base, list) and isinstance(key, int) and not isinstance(key, bool):
            if not -len(base) <= key < len(base):
                raise AbsentError(f"{self._text(node)}: the list has {len(base)} items, there is no [{key}]")
            return base[key]
        wanted = {"map": "a string", "list": "a whole number"}.get(kind_of(base))
        if wanted is None:
            raise self._error(node, f"only lists and maps have parts, this is a {kind_of(base)}")
        raise self._error(node, f"a {kind_of(base)} is indexed with {wanted}, found a {kind_of(key)}")

    def _project(self, node: Project) -> list[Json]:
        base = self.of(node.base)
        if base is None:
            raise AbsentError(f"{self._text(node)}: null has no items: give a fallback with ??")
        if not isinstance(base, list):
            raise self._error(node, f"[*] needs a list, this is a {kind_of(base)}")
        tail = [part if isinstance(part, str) else self.of(part) for part in node.tail]
        self._step(len(base) * (len(tail) + 1))
        return [self._follow(node, item, tail) for item in base]

    def _follow(self, node: Project, item: Json, tail: list[Json]) -> Json:
        """Apply the tail to one item; null, as of a matrix cell without a result, stays null."""
        for key in tail:
            if item is None:
                return None
            item = self._part(node, item, key)
        return item

    def _boolean(self, node: Node, operator: str) -> bool:
        value = self.of(node)
        if not isinstance(value, bool):
            raise self._error(node, f"{operator} needs a boolean, this is a {kind_of(value)}")
        return value

    def _binary(self, node: Binary) -> Json:
        operator = node.operator
        if operator == "&&":
            return self._boolean(node.left, operator) and self._boolean(node.right, operator)
        if operator == "||":
            return self._boolean(node.left, operator) or self._boolean(node.right, operator)
        if operator == "??":
            return self._coalesce(node)
        if operator in ("==", "!="):
            return self._equal(node) is (operator == "==")
        left, right = self.of(node.left), self.of(node.right)
        if operator == "in":
            return self._contains(node, left, right)
        return self._ordered(node, left, right)

    def _coalesce(self, node: Binary) -> Json:
        try:
            value = self.of(node.left)
        except AbsentError:
            value = None
        return self.of(node.right) if value is None else value

    def _equal(self, node: Binary) -> bool:
        left, right = self._or_null(node.left, node.right), self._or_null(node.right, node.left)
        return same(left, right)

    def _or_null(self, node: Node, other: Node) -> Json:
        """Evaluate an operand; a missing value compared with the literal null is null, as in `jobs.x.result == null`."""
        if not (isinstance(other, Literal) and other.value is None):
            return self.of(node)
        try:
            return self.of(node)
        except AbsentError:
            return None

    def _contains(self, node: Binary, left: Json, right: Json) -> bool:
        if not isinstance(right, (list, dict, str)):
            raise self._error(node.right, f"`in` looks into a list, a map or a string, this is a {kind_of(right)}")
        if isinstance(right, list):
            self._step(len(right))
        try:
            return contains(left, right)
        except EvalError as error:
            raise self._error(node, str(error)) from error

    def _ordered(self, node: Binary, left: Json, right: Json) -> bool:
        kinds = {kind_of(left), kind_of(right)}
        if kinds not in ({"number"}, {"string"}):
            found = f"{kind_of(left)} and {kind_of(right)}"
            raise self._error(node, f"{node.operator} compares two numbers or two strings, found {found}")
        result = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[node.operator]
        return bool(result)

    def _call(self, node: FunctionCall) -> Json:
        signature = FUNCTIONS.get(node.function)
        if signature is None:
            raise EvalError(f"there is no function {node.function}(): {function_help(node.function)}")
        if not signature.fits(len(node.arguments)):
            raise self._error(node, f"takes {signature.counts()}, found {len(node.arguments)}")
        arguments = [self.of(argument) for argument in node.arguments]
        for position, (argument, value) in enumerate(zip(node.arguments, arguments, strict=True)):
            wanted = signature.parameter(position)
            if "any" not in wanted and kind_of(value) not in wanted:
                raise self._error(argument, f"{node.function}() needs a {' or '.join(wanted)} here, this is a {kind_of(value)}")
            self._step(len(value) if isinstance(value, (list, dict)) else 1)
        if node.function in _WRITTEN:
            check_repeated(arguments)
        made = signature.apply(*arguments)
        self._made += len(arguments[0]) if node.function == "from_json" else _size(made)
        if self._made > MAX_MADE:
            raise self._error(
                node, f"with this, the expression has created strings and lists of more than {MAX_MADE:,} characters"
            )
        return made


def _size(made: Json) -> int:
    """Return the size of a value in characters, not counting its parts; an item of a list counts as 16."""
    return len(made) if isinstance(made, str) else 16 * len(made) if isinstance(made, (list, dict)) else 1


def _there(key: str, base: Mapping[str, Json]) -> str:
    close = difflib.get_close_matches(key, list(base)[:1000], n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    names = ", ".join(list(base)[:8])
    return f"; it has {names}" if names else "; the map is empty"
