"""Tokens to the syntax tree: a precedence climber with a limit on depth.

Loosest to tightest: `? :`, `??`, `||`, `&&`, comparisons and `in` (they do not chain), `!`, then `.name`, `[index]`, `[*]` and calls.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeVar

from flowq.expr.errors import ExprSyntaxError
from flowq.expr.nodes import (
    Binary,
    Expression,
    FunctionCall,
    Index,
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
from flowq.expr.tokens import Token, tokenize

MAX_DEPTH: Final = 50  # levels of nesting; the parser and the evaluator recurse
MAX_HEIGHT: Final = 120  # levels of the tree
MAX_NODES: Final = 1_000  # tokens of one expression

_COMPARISONS: Final = frozenset({"==", "!=", "<", "<=", ">", ">="})
_CONSTANTS: Final[dict[str, bool | None]] = {"null": None, "true": True, "false": False}
_MISSPELT: Final = {"and": "&&", "or": "||", "not": "!", "None": "null", "True": "true", "False": "false"}


T = TypeVar("T")


@lru_cache(maxsize=4096)
def parse(source: str) -> Expression:
    """Parse one bare expression (without `${{ }}`).

    Raises:
        ExprSyntaxError: the syntax is invalid; with the offsets of the error and, if possible, a fix.
    """
    root = _Parser(tokenize(source)).whole()
    _check_height(root)
    return Expression(source, root)


def _check_height(root: Node) -> None:
    """Refuse trees that are deep without nesting, such as a hundred terms joined by `&&`: walking the tree is recursive."""
    level: list[Node] = [root]
    for _ in range(MAX_HEIGHT):
        level = [child for node in level for child in children(node)]
        if not level:
            return
    raise ExprSyntaxError(
        f"an expression may be {MAX_HEIGHT} operations deep", root.start, root.end, "split it, or compute the value in a job"
    )


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        if len(tokens) > MAX_NODES:
            end = tokens[-1].end
            raise ExprSyntaxError(f"an expression may have {MAX_NODES} parts", 0, end, "compute the value in a job")
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    # -- tokens -----------------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._tokens[self._position]
        self._position += 1
        return token

    def _accept(self, *kinds: str) -> Token | None:
        return self._take() if self._next.kind in kinds else None

    def _expect(self, kind: str, what: str) -> Token:
        if self._next.kind != kind:
            raise self._unexpected(what)
        return self._take()

    def _unexpected(self, expected: str) -> ExprSyntaxError:
        token = self._next
        if token.kind == "end":
            return ExprSyntaxError(f"expected {expected}, but the expression ends here", max(token.start - 1, 0), token.end)
        fix = f"write {_MISSPELT[token.text]}" if token.text in _MISSPELT else ""
        if token.kind == "-":
            fix = "there is no subtraction; a name with a dash is written jobs.my-job or matrix['my-axis']"
        return ExprSyntaxError(f"expected {expected}, found {token.text}", token.start, token.end, fix)

    # -- grammar ----------------------------------------------------------------------------------------------------------

    def whole(self) -> Node:
        if self._next.kind == "end":
            raise ExprSyntaxError("the expression is empty", 0, self._next.end, "write an expression such as params.name")
        node = self._expression()
        if self._next.kind != "end":
            raise self._unexpected("an operator or the end of the expression")
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            token = self._next
            raise ExprSyntaxError(f"an expression may be nested {MAX_DEPTH} levels deep", token.start, token.end)
        node = self._coalesce()
        if self._accept("?"):
            yes = self._expression()
            self._expect(":", "`:` and the value for false")
            no = self._expression()
            node = Ternary(node.start, no.end, node, yes, no)
        self._depth -= 1
        return node

    def _coalesce(self) -> Node:
        node = self._either()
        if self._accept("??"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ExprSyntaxError(f"an expression may be nested {MAX_DEPTH} levels deep", node.start, node.end)
            right = self._coalesce()  # right-associative: a ?? (b ?? c)
            self._depth -= 1
            return Binary(node.start, right.end, "??", node, right)
        return node

    def _either(self) -> Node:
        node = self._both()
        while self._accept("||"):
            right = self._both()
            node = Binary(node.start, right.end, "||", node, right)
        return node

    def _both(self) -> Node:
        node = self._comparison()
        while self._accept("&&"):
            right = self._comparison()
            node = Binary(node.start, right.end, "&&", node, right)
        return node

    def _comparison(self) -> Node:
        node = self._unary()
        operator = self._comparison_operator()
        if operator is None:
            return node
        right = self._unary()
        second = self._next
        if self._comparison_operator() is not None:
            raise ExprSyntaxError("comparisons do not chain", second.start, second.end, "write a < b && b < c")
        return Binary(node.start, right.end, operator, node, right)

    def _comparison_operator(self) -> str | None:
        token = self._next
        if token.kind in _COMPARISONS or (token.kind == "name" and token.text == "in"):
            return self._take().text
        return None

    def _unary(self) -> Node:
        if token := self._accept("!"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ExprSyntaxError(f"an expression may be nested {MAX_DEPTH} levels deep", token.start, token.end)
            operand = self._unary()
            self._depth -= 1
            return Unary(token.start, operand.end, "!", operand)
        if token := self._accept("-"):
            number = self._expect("number", "a number after `-` (there is no arithmetic)")
            assert isinstance(number.value, (int, float))
            return Literal(token.start, number.end, -number.value)
        return self._postfix()

    def _postfix(self) -> Node:
        node = self._primary()
        chain = 0
        while True:
            chain += 1
            if chain > MAX_DEPTH:
                raise ExprSyntaxError(f"a path may have {MAX_DEPTH} parts", node.start, node.end)
            if self._accept("."):
                key = self._expect("name", "a name after the dot")
                node = _member(node, key.text, key.start, key.end)
            elif self._accept("["):
                node = self._brackets(node)
            else:
                return node

    def _brackets(self, node: Node) -> Node:
        if self._accept("*"):
            close = self._expect("]", "`]`")
            if isinstance(node, Project):
                raise ExprSyntaxError("[*] can occur only once in a path", close.start - 1, close.end)
            return Project(node.start, close.end, node, ())
        index = self._expression()
        close = self._expect("]", "`]`")
        if isinstance(index, Literal) and isinstance(index.value, str):
            return _member(node, index.value, index.start, close.end)
        if isinstance(node, Project):
            return Project(node.start, close.end, node.base, (*node.tail, index))
        return Index(node.start, close.end, node, index)

    def _primary(self) -> Node:
        token = self._next
        if token.kind in ("number", "string"):
            self._take()
            return Literal(token.start, token.end, token.value)
        if token.kind == "name":
            return self._name(self._take())
        if self._accept("("):
            node = self._expression()
            self._expect(")", "`)`")
            return node
        if self._accept("["):
            items, close = self._items("]", self._expression)
            return ListLiteral(token.start, close.end, tuple(items))
        if self._accept("{"):
            return self._map(token)
        raise self._unexpected("a value")

    def _name(self, token: Token) -> Node:
        if token.text in _CONSTANTS:
            return Literal(token.start, token.end, _CONSTANTS[token.text])
        if self._accept("("):
            arguments, close = self._items(")", self._expression)
            return FunctionCall(token.start, close.end, token.text, tuple(arguments))
        if token.text in _MISSPELT or token.text == "in":
            self._position -= 1
            raise self._unexpected("a value")
        return Name(token.start, token.end, token.text)

    def _map(self, opening: Token) -> Node:
        pairs, close = self._items("}", self._pair)
        keys = [key for key, _ in pairs]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise ExprSyntaxError(f"duplicate key {key!r}", opening.start, close.end)
        return MapLiteral(opening.start, close.end, tuple(pairs))

    def _pair(self) -> tuple[str, Node]:
        if self._next.kind not in ("name", "string"):
            raise self._unexpected("a key (a name or a string)")
        key = self._take()
        self._expect(":", "`:` after the key")
        return str(key.value), self._expression()

    def _items(self, close: str, item: Callable[[], T]) -> tuple[list[T], Token]:
        found: list[T] = []
        while self._next.kind != close:
            found.append(item())
            if not self._accept(","):
                break
        return found, self._expect(close, f"`,` or `{close}`")


def _member(node: Node, key: str, key_start: int, end: int) -> Node:
    if isinstance(node, Project):
        return Project(node.start, end, node.base, (*node.tail, key))
    return Member(node.start, end, node, key, key_start)
