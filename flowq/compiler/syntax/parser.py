"""Text to a tree, from the events of PyYAML's parser (the C one if available).

It uses events, not PyYAML's nodes or values, because PyYAML's composer recurses and its constructor reads YAML 1.1 (`on` is true, `12:30`
is 750). Here the depth and the number of nodes, with aliases expanded, are limited before anything is built, and each key has a span.
"""

from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START, Span
from flowq.compiler.syntax.nodes import MAX_DEPTH, ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.scalars import TAGS, ScalarError, resolve, resolve_tagged
from flowq.compiler.syntax.source import Report, Source
from flowq.compiler.syntax.yaml_errors import TOO_DEEP, explain

MAX_NODES: Final = 5_000_000  # with aliases expanded

_MAP_TAG: Final = "tag:yaml.org,2002:map"
_SEQ_TAG: Final = "tag:yaml.org,2002:seq"


def read(source: Source, report: Report) -> YamlNode | None:
    """Return the tree of a source, or None if it cannot be parsed to the end.

    After a lesser problem (a duplicate key, an unknown tag) there is still a tree, so that later stages report other problems; problems
    at the same spans are suppressed.
    """
    composer = _Composer(report)
    try:
        root = composer.run(_parser(source.text))
    except _GiveUp:
        return None
    except yaml.YAMLError as error:
        code, span, message, hint = explain(error, source)
        report.add(code, span, message, hint)
        return None
    if root is None and not report.failed:
        report.add(Code.EMPTY, START, "the file is empty, expected a flow", "it needs at least `jobs:` with one job")
    report.settle()
    report.tree = root
    return root


def _parser(text: str) -> Any:
    if yaml.__with_libyaml__:
        return yaml.CLoader(text)
    return yaml.Loader(text)


class _GiveUp(Exception):
    """A limit is exceeded, so parsing stops."""


@dataclass(slots=True)
class _Frame:
    """An open list or map."""

    node: ListNode | MapNode
    anchor: str | None
    counted: int  # nodes before this one
    key: ScalarNode | None = None  # in a map: the key whose value comes next
    waiting: bool = False  # a key was read (it may be None after an error)
    height: int = 1
    merges: list[tuple[ScalarNode, YamlNode]] | None = None


@dataclass(slots=True)
class _Anchor:
    """An anchored node, with its number of nodes and levels. `node` is None until its end."""

    node: YamlNode | None
    size: int = 1
    height: int = 0


class _Composer:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._stack: list[_Frame] = []
        self._anchors: dict[str, _Anchor] = {}
        self._count = 0
        self._root: YamlNode | None = None
        self._documents = 0

    def run(self, parser: Any) -> YamlNode | None:
        """Read all events. The order of the branches is the frequency of the events."""
        next_event = parser.get_event
        while True:
            event = next_event()
            kind = type(event)
            if kind is ScalarEvent:
                self._scalar(event)
            elif kind is MappingStartEvent:
                self._open(event, MapNode(event.start_mark), _MAP_TAG)
            elif kind is MappingEndEvent or kind is SequenceEndEvent:
                self._close(event)
            elif kind is SequenceStartEvent:
                self._open(event, ListNode(event.start_mark), _SEQ_TAG)
            elif kind is AliasEvent:
                self._alias(event)
            elif kind is DocumentStartEvent:
                self._document(event)
            elif event is None:
                return self._root

    # -- events -----------------------------------------------------------------------------------------------------------

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            message = "a second document begins here; a flow file is one document"
            self._fail(
                Code.SEVERAL_DOCUMENTS, _mark_span(event), message, "remove the `---`, or put the second flow in its own file"
            )

    def _scalar(self, event: Any) -> None:
        self._count += 1
        text = event.value
        value = text
        if event.tag is None or event.tag == "!":
            if event.implicit[0]:
                try:
                    value = resolve(text)
                except ScalarError as error:
                    self._report.add(Code.NUMBER, _mark_span(event), str(error), "put it in quotes if text is meant")
        else:
            value = self._tagged(event)
        style = event.style
        start, end = event.start_mark, event.end_mark
        if not style or style == "plain":
            style = ""
            if end.line == start.line and end.column - start.column == len(text):  # written without quotes or escapes
                end = None
        node = ScalarNode(value, text, style, start, end)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(node)
        self._add(node)

    def _tagged(self, event: Any) -> Any:
        kind = TAGS.get(event.tag)
        if kind is None:
            self._unknown_tag(event)
            return event.value
        try:
            return resolve_tagged(event.value, kind)
        except ScalarError as error:
            self._report.add(Code.TAG, _mark_span(event), str(error), "remove the tag")
            return event.value

    def _open(self, event: Any, node: ListNode | MapNode, tag: str) -> None:
        if len(self._stack) >= MAX_DEPTH:
            self._fail(Code.TOO_DEEP, _mark_span(event), TOO_DEEP, "")
        if event.tag is not None and event.tag not in (tag, "!"):
            self._unknown_tag(event)
        frame = _Frame(node, event.anchor, self._count)
        self._count += 1
        self._check_count(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchor(None)
        self._stack.append(frame)

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        frame.node.end = event.end_mark
        if frame.merges is not None:
            self._merge(frame)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = _Anchor(frame.node, self._count - frame.counted, frame.height)
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, frame.height + 1)
        self._add(frame.node)

    def _alias(self, event: Any) -> None:
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            known = ", ".join(sorted(self._anchors)[:8])
            hint = f"anchors before this place: {known}" if known else "an anchor is written &name, before it is used"
            self._report.add(Code.ALIAS, _mark_span(event), f"there is no anchor &{event.anchor}", hint)
            self._add(ScalarNode(None, "", "", event.start_mark, event.end_mark))
            return
        if anchor.node is None:
            message = f"*{event.anchor} is inside &{event.anchor} itself"
            self._fail(Code.ALIAS, _mark_span(event), message, "a value cannot contain itself")
            return
        self._count += anchor.size
        self._check_count(event)
        if len(self._stack) + anchor.height > MAX_DEPTH:
            self._fail(
                Code.TOO_DEEP,
                _mark_span(event),
                f"with this alias, lists and maps are nested more than {MAX_DEPTH} levels deep",
                "",
            )
        if self._stack:
            self._stack[-1].height = max(self._stack[-1].height, anchor.height + 1)
        self._add(anchor.node, event)

    # -- building the tree -------------------------------------------------------------------------------------------------

    def _add(self, node: YamlNode, alias: Any = None) -> None:
        if not self._stack:
            self._root = node
            return
        frame = self._stack[-1]
        parent = frame.node
        if type(parent) is ListNode:
            parent.items.append(node)
        elif not frame.waiting:
            frame.key = self._key(node, alias)
            frame.waiting = True
        else:
            key = frame.key
            frame.key = None
            frame.waiting = False
            if key is not None:
                self._insert(frame, key, node)

    def _key(self, node: YamlNode, alias: Any) -> ScalarNode | None:
        """Return the scalar of a key. Keys are strings, as written, even if they look like another type."""
        if type(node) is ScalarNode and (node.text or node.style):
            return node
        span = _mark_span(alias) if alias is not None else node.span
        if type(node) is ScalarNode:
            self._report.add(Code.KEY, span, "a key is missing before the `:`", "")
            return None
        hint = 'an expression is written "${{ … }}", in quotes' if isinstance(node, MapNode) else "a key is a string"
        self._report.add(Code.KEY, span, f"a {'map' if isinstance(node, MapNode) else 'list'} cannot be a key", hint)
        return None

    def _insert(self, frame: _Frame, key: ScalarNode, value: YamlNode) -> None:
        assert type(frame.node) is MapNode
        if key.text == "<<" and not key.style:
            if frame.merges is None:
                frame.merges = []
            frame.merges.append((key, value))
            return
        entries = frame.node.entries
        if key.text in entries:
            first = entries[key.text][0].start.line + 1
            message = f"duplicate key {key.text[:60]!r} (first defined on line {first})"
            self._report.add(Code.DUPLICATE_KEY, key.span, message, "remove one, or rename it")
            return
        entries[key.text] = (key, value)

    def _merge(self, frame: _Frame) -> None:
        """Add the entries of `<<` after the map's own; earlier entries take precedence."""
        assert frame.merges is not None
        assert type(frame.node) is MapNode
        entries = frame.node.entries
        for position, (key, value) in enumerate(frame.merges):
            if position:
                self._report.add(Code.DUPLICATE_KEY, key.span, "duplicate key `<<`", "write <<: [*a, *b]")
                continue
            parts = value.items if isinstance(value, ListNode) else [value]
            for part in parts:
                if not isinstance(part, MapNode):
                    self._report.add(Code.MERGE, key.span, "`<<` merges a map or a list of maps", "write <<: *name")
                    continue
                self._count += len(part.entries)
                self._check_count(key)
                for name, entry in part.entries.items():
                    entries.setdefault(name, entry)

    # -- problems ---------------------------------------------------------------------------------------------------------

    def _check_count(self, place: Any) -> None:
        if self._count > MAX_NODES:
            span = place.span if isinstance(place, ScalarNode) else _mark_span(place)
            message = f"the file has more than {MAX_NODES:,} values, counting what its aliases stand for"
            self._fail(Code.TOO_MANY_NODES, span, message, "split the flow, or use a matrix")

    def _unknown_tag(self, event: Any) -> None:
        name = str(event.tag).replace("tag:yaml.org,2002:", "!!")
        message = f"the tag {name[:60]} is not known"
        hint = "remove it; in a flow file no value needs a tag"
        if "." in name or "(" in name:  # an expression; names of tags are words
            hint = f'if `!` means not, put the whole value in quotes: "{name[:60]} …"; in a flow file no value needs a tag'
        self._report.add(Code.TAG, _mark_span(event), message, hint)

    def _fail(self, code: Code, span: Span, message: str, hint: str) -> None:
        self._report.add(code, span, message, hint)
        raise _GiveUp


def _mark_span(event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)
