"""The tree that the parser builds from a file: values with spans.

The nodes are not frozen dataclasses: a large flow has hundreds of thousands of them, and frozen ones take four times as long to create.
They do not change after parsing. An alias yields the same object again, so the tree may share parts; it never has a cycle.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from flowq.compiler.diagnostics.diagnostic import Span

Json: TypeAlias = Any

MAX_DEPTH: Final = 100  # levels of nested lists and maps


class Mark(Protocol):
    """A position from the YAML parser, 0-based."""

    @property
    def index(self) -> int:
        """Characters before it in the file."""

    @property
    def line(self) -> int:
        """Lines before it in the file."""

    @property
    def column(self) -> int:
        """Characters before it in the line."""


@dataclass(frozen=True, slots=True)
class Place:
    """A computed position."""

    index: int
    line: int
    column: int


class ScalarNode:
    """A string, number, boolean or null. `value` is its JSON value, `text` its content, `style` its quotes or "".

    Most scalars end where their text does; these have no `end`, to save memory.
    """

    __slots__ = ("_end", "start", "style", "text", "value")

    def __init__(self, value: Json, text: str, style: str, start: Mark, end: Mark | None) -> None:
        self.value = value
        self.text = text
        self.style = style
        self.start = start
        self._end = end

    @property
    def end(self) -> Mark:
        """The position after it."""
        if self._end is not None:
            return self._end
        start, length = self.start, len(self.text)
        return Place(start.index + length, start.line, start.column + length)

    @property
    def span(self) -> Span:
        """The span of the scalar."""
        return _span(self.start, self.end)


class ListNode:
    """A list."""

    __slots__ = ("end", "items", "start")

    def __init__(self, start: Mark) -> None:
        self.items: list[YamlNode] = []
        self.start = start
        self.end = start

    @property
    def span(self) -> Span:
        """The span of the list."""
        return _span(self.start, self.end)


class MapNode:
    """A map. `entries` holds for each key its scalar and the value."""

    __slots__ = ("end", "entries", "start")

    def __init__(self, start: Mark) -> None:
        self.entries: dict[str, tuple[ScalarNode, YamlNode]] = {}
        self.start = start
        self.end = start

    @property
    def span(self) -> Span:
        """The span of the map."""
        return _span(self.start, self.end)

    def get(self, key: str) -> "YamlNode | None":
        """Return the value of a key, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry[1]

    def key_span(self, key: str) -> Span:
        """Return the span of a key, or of the map if the key is missing."""
        entry = self.entries.get(key)
        return self.span if entry is None else entry[0].span


YamlNode: TypeAlias = ScalarNode | ListNode | MapNode


def _span(start: Mark, end: Mark) -> Span:
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def type_name(node: YamlNode) -> str:
    """Return the type of a node, in the words of the messages."""
    if isinstance(node, MapNode):
        return "a map"
    if isinstance(node, ListNode):
        return "a list"
    value = node.value
    if value is None:
        return "nothing" if not node.text else "null"
    if isinstance(value, bool):
        return f"the boolean {node.text}"
    if isinstance(value, (int, float)):
        return f"the number {node.text[:30]}"
    return f"the text {value[:40]!r}" if value else "an empty text"


def written(node: ScalarNode) -> str:
    """Return a number or boolean as it is written, for use as a string, so that a version 3.10 does not become 3.1."""
    if isinstance(node.value, bool):
        return "true" if node.value else "false"
    return node.text


def text_of(node: YamlNode | None) -> str:
    """Return the value of a string, "" for anything else."""
    return node.value if isinstance(node, ScalarNode) and isinstance(node.value, str) else ""


def texts_of(node: YamlNode | None) -> list[str]:
    """Return the strings of a list, or the one that is in its place."""
    items = node.items if isinstance(node, ListNode) else [node]
    return [item.value for item in items if isinstance(item, ScalarNode) and isinstance(item.value, str)]


def plain(node: YamlNode) -> Json:
    """Return the JSON value of a node. Parts that are shared by aliases stay shared."""
    return _plain(node, {})


def _plain(node: YamlNode, done: dict[int, Json]) -> Json:
    if isinstance(node, ScalarNode):
        return node.value
    known = done.get(id(node))
    if known is not None:
        return known
    value: Json
    if isinstance(node, MapNode):
        value = {key: _plain(item, done) for key, (_, item) in node.entries.items()}
    else:
        value = [_plain(item, done) for item in node.items]
    done[id(node)] = value
    return value
