"""Values that stand under `secrets` although only references belong there: no diagnostic repeats them, because diagnostics land in CI logs.

What is shown of such a section is what is known to be harmless: names, references, brackets. Everything else has stars in its place, one
for each character, so that carets stand where they should.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from flowq.compiler.diagnostics.diagnostic import Diagnostic, Span
from flowq.compiler.syntax.nodes import MapNode, ScalarNode, YamlNode

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
"""The name of a variable, as a reference has it."""

_SECTIONS: Final = frozenset({"secrets", "secret"})  # the second one is a slip, and what stands below it no less secret
_JOBS: Final = ("jobs", "templates", "on_success", "on_failure", "on_cancel", "on_exit")
_CUTS: Final = (30, 40, 60)  # where messages cut what they quote
_QUOTING: Final = "\"'!&*"  # what YAML has around and before a value

# Without a tree, and for what did not get into it:
# Of a job, a list has names in it.
_OPENING = re.compile(r"""^(?:["']?secrets?["']?[ \t]*:|[ \t{,]+["']?secrets?["']?[ \t]*:(?![ \t]*\[))""", re.MULTILINE)
_NEXT_KEY = re.compile(r"""^["']?\w[^:\n]*:(?=\s)""", re.MULTILINE)
_KEY = re.compile(r"""(?:^|\{)[ \t]*["']?[A-Za-z_]\w*["']?:(?=[ \t]|$)""")
_KEY_IN_BRACES = re.compile(r"""\{[ \t]*["']?[A-Za-z_]\w*["']?:(?=[ \t]|$)""")
_TWICE = re.compile(r"""(?:^|[{,])[ \t]*["']?(?P<name>[A-Za-z_]\w*)["']?:(?=[ \t]|$)""")
_REFERENCE = re.compile(
    r"""(?<=[{ ])(?:["']?env["']?:[ \t]+["']?[A-Za-z_]\w*|["']?file["']?:[ \t]+["']?[A-Za-z_.~/][\w.~/-]*)["']?(?=[ \t]*(?:$|[},#]))"""
)
_NAMED = re.compile(r"(the tag|no anchor) \S+")  # in messages, of what is written with a value
_TAG_IN_QUOTES = re.compile(r'"!\S*')
_MARKED = re.compile(r"[!&*]+([^\s,\[\]{}]+)")
_SHOWN = re.compile(r"""(?:[\s{}\[\],:"']|-(?=\s))+""")

_Place: TypeAlias = tuple[int, int]  # line and column, 1-based


@dataclass(slots=True)
class _Section:
    """From one place to behind another.

    `kept` are the places inside that are known to be harmless, `values` the texts that are not, `names` those of the secrets; `guessed`:
    the file was not read.
    """

    start: _Place
    end: _Place
    kept: list[Span] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    guessed: bool = False
    seen: set[int] = field(default_factory=set)  # lists and maps, by identity


def conceal(found: Sequence[Diagnostic], text: str, root: YamlNode | None) -> list[Diagnostic]:
    """Return diagnostics without the values of secrets that stand in their file.

    Args:
        found: what is to be told.
        text: of the file.
        root: its tree; None where it could not be read to the end.
    """
    if not found or "secret" not in text:
        return list(found)
    sections = list(_sections(root, text) if isinstance(root, MapNode) else _guessed(text))
    return [_concealed(item, sections) for item in found]


def _sections(root: MapNode, text: str) -> Iterator[_Section]:
    for name, (spelling, node) in root.entries.items():
        if name.lower() in _SECTIONS:
            yield _section(spelling, node, text)
    jobs: list[YamlNode | None] = [root.get("defaults")]
    for name in _JOBS:
        below = root.get(name)
        jobs += [entry[1] for entry in below.entries.values()] if isinstance(below, MapNode) else []
    for job in jobs:
        listed = job.entries.get("secrets") if isinstance(job, MapNode) else None
        if listed is not None and isinstance(listed[1], MapNode):  # a list has names in it
            yield _section(*listed, text)


def _section(spelling: ScalarNode, node: YamlNode, text: str) -> _Section:
    key, own = spelling.span, node.span
    begin = min((key.end_line, key.end_column), (own.line, own.column))  # an alias stands for what is above
    section = _Section(begin, (own.end_line, own.end_column))
    if not isinstance(node, MapNode):
        _hide(node, section)
        return section
    for name, reference in node.entries.values():
        if isinstance(reference, ScalarNode) and not reference.text and ":" not in text[name.end.index : reference.end.index]:
            section.values.append(name.text)  # {TOKEN: ,value}: without a colon it is no name
            continue
        section.kept.append(name.span)
        section.names.add(name.text)
        if not isinstance(reference, MapNode):
            _hide(reference, section)
            continue
        for kind, (word, value) in reference.entries.items():
            if kind in ("env", "file") or not isinstance(value, ScalarNode) or value.text:
                section.kept.append(word.span)
            else:  # {value}: in braces, and so it is a key
                section.values.append(kind)
            if isinstance(value, ScalarNode) and _is_reference(kind, value):
                section.kept.append(value.span)
            else:
                _hide(value, section)
    return section


def _is_reference(kind: str, node: ScalarNode) -> bool:
    text = node.value
    if not isinstance(text, str) or kind not in ("env", "file"):
        return False
    text = re.sub(r"\$\{\{.*?\}\}", "_", text)  # what is chosen by params is a name all the same
    return VARIABLE.fullmatch(text) is not None if kind == "env" else not any(it in text for it in ("\n", "\0", "${{"))


def _hide(node: YamlNode, section: _Section) -> None:
    if isinstance(node, ScalarNode):
        if isinstance(node.value, str) and re.fullmatch(r"\s*\$\{\{.*\}\}\s*", node.value, re.DOTALL):
            section.kept.append(node.span)  # where a user may think that they are found otherwise
        elif not isinstance(node.value, bool) and node.text:
            section.values.append(node.text)
        return
    if id(node) not in section.seen:  # aliases can make very much of little
        section.seen.add(id(node))
        for name, item in node.entries.values() if isinstance(node, MapNode) else ((None, item) for item in node.items):
            if name is not None and VARIABLE.fullmatch(name.text):
                section.kept.append(name.span)
            _hide(item, section)


def _guessed(text: str) -> Iterator[_Section]:
    """Find the sections of a file that is no YAML: up to the next line that is indented less."""
    starts = [0, *(match.end() for match in re.finditer("\r\n|[\n\r\x85\u2028\u2029]", text))]
    for opening in _OPENING.finditer(text):
        following = _NEXT_KEY.search(text, opening.end())
        end = following.start() if following else len(text)
        yield _Section(_place(starts, opening.end()), _place(starts, end), guessed=True)


def _place(starts: list[int], index: int) -> _Place:
    line = bisect_right(starts, index)
    return line, index - starts[line - 1] + 1


def _concealed(item: Diagnostic, sections: list[_Section]) -> Diagnostic:
    for section in sections:
        if not section.start[0] <= item.line <= section.end[0]:
            continue
        first = section.start[1] - 1 if item.line == section.start[0] else 0
        last = section.end[1] - 1 if item.line == section.end[0] else len(item.text)
        if item.text[last:].lstrip().startswith("#"):
            last = len(item.text)  # a comment behind it
        shown = list(_shown(item.text[first:last], first, item.line, section))
        hidden = [*_between(shown, first, last)]
        values = [*section.values, *_quoted(item.text, hidden)]
        for start, end in hidden:
            item = replace(item, text=item.text[:start] + "*" * (end - start) + item.text[end:])
        message, advice = _NAMED.sub(r"\1 ***", item.message), _TAG_IN_QUOTES.sub('"***', item.help)
        item = replace(item, message=_without(values, message), help=_without(values, advice))
    return item


def _shown(part: str, first: int, line: int, section: _Section) -> Iterator[tuple[int, int]]:
    """Yield what is harmless of a line: from one column, counted from 0, to behind another."""
    key = _KEY_IN_BRACES if line == section.start[0] else _KEY  # behind `secrets:` no other begins
    for match in _TWICE.finditer(part):  # the second of two equal keys is not in the tree
        if match["name"] in section.names:
            yield first + match.start(), first + match.end()
    for pattern in (_SHOWN, key, _REFERENCE) if section.guessed else (_SHOWN,):
        yield from ((first + match.start(), first + match.end()) for match in pattern.finditer(part))
    for span in section.kept:
        if span.line == line == span.end_line:
            yield span.column - 1, span.end_column - 1


def _between(shown: list[tuple[int, int]], first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield what lies between the places that are shown."""
    position = first
    for start, end in sorted(shown):
        if start > position:
            yield position, min(start, last)
        position = max(position, end)
    if position < last:
        yield position, last


def _quoted(text: str, hidden: list[tuple[int, int]]) -> Iterator[str]:
    """Yield what parsers quote of a value that they do not understand: tags, names of anchors, numbers."""
    for start, end in hidden:
        word = text[start:end].lstrip(_QUOTING)
        if text[start] in "!&*" or word.strip("-+.").isalnum():
            yield word
        yield from _MARKED.findall(text[start:end])


def _without(values: Sequence[str], text: str) -> str:
    forms = {form for value in values for cut in (len(value), *_CUTS) for form in (value[:cut], repr(value[:cut])[1:-1])}
    for form in sorted(forms, key=len, reverse=True):
        if len(form) > 1:
            text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", "***", text)
    return text
