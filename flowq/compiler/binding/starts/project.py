"""`notify` of a project's settings file (`flowq.toml`): messages about the runs of all flows below it.

They are checked as those of a flow are. TOML is read without places, so a problem is told at the line of its key as far as that can be found.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flowq.compiler.binding.starts.notices import read_notices
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START
from flowq.compiler.diagnostics.withheld import Shown
from flowq.compiler.expressions.constants import StaticScope
from flowq.compiler.params.params import Bound
from flowq.compiler.syntax.files import Beside, Files
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, Mark, Place, ScalarNode, YamlNode
from flowq.compiler.syntax.schema import check_shape
from flowq.compiler.syntax.source import Report, Source, decode_source, read_file
from flowq.config import Setting, load_settings, settings_files
from flowq.exceptions import ConfigError
from flowq.plan.notice import Notice

_TABLE: Final = re.compile(r"^[ \t]*\[+[ \t]*(?:tool\.flowq\.)?notify[ \t]*\]", re.MULTILINE)
_KEY: Final = re.compile(r"^[ \t]*notify[ \t]*=", re.MULTILINE)
_INLINE_TABLE: Final = re.compile(r"^[ \t]*\{", re.MULTILINE)
_NO_PARAMS: Final = Bound((), StaticScope({}, (), {}))


def read_project_notices(place: Beside, files: Files, report: Report) -> tuple[Notice, ...]:
    """Return the messages that the settings of a flow's project declare for all of its flows.

    Args:
        place: the file of the flow: the nearest settings file counts, from there upwards.
        files: gets the problems of the settings file, and where it was looked for.
        report: gets what keeps the settings from being read.
    """
    directory = place.absolute("")
    try:
        setting = load_settings(directory=directory, environ={}).notify
    except ConfigError as error:
        files.note(map(str, settings_files(directory)))
        report.add(Code.PROJECT, START, str(error), "the settings of the project are those of all its flows")
        return ()
    looked_for = [path for path in map(str, settings_files(directory)) if path.endswith("flowq.toml")]
    files.note(looked_for if setting is None else [*looked_for, setting.source])
    return () if setting is None else _read(setting, files)


def _read(setting: Setting, files: Files) -> tuple[Notice, ...]:
    path = setting.source
    data, _ = read_file(path)
    own = Path(path).resolve().is_relative_to(Path(path).parent.resolve())
    source, report = decode_source(path, data, Shown.WORDS if own else Shown.NOTHING)
    files.reports.append(report)
    tree = _tree(json.loads(setting.value), source)
    report.tree = tree
    check_shape(tree, report)
    return () if report.failed else read_notices(tree.get("notify"), Beside(path, path), _NO_PARAMS, report)


def _tree(value: Json, source: Source) -> MapNode:
    """Return the smallest flow that has these messages."""
    starts = _starts(source)
    node = _list(value, starts, source) if isinstance(value, list) else _node(value, starts[0], source, len(source.text))
    job = _map(starts[0], {"flow": _map(starts[0], {"run": _scalar("true", starts[0])})})
    return _map(starts[0], {"jobs": job, "notify": node})


def _list(entries: list[Json], starts: list[Place], source: Source) -> ListNode:
    node = ListNode(starts[0])
    ends = [*(place.index for place in starts[1:]), len(source.text)]
    for number, entry in enumerate(entries):
        at = number if number < len(starts) else 0
        node.items.append(_node(entry, starts[at], source, ends[at]))
    return node


def _starts(source: Source) -> list[Place]:
    """Return where the entries begin, as far as that can be found; at least one place."""
    found = list(_TABLE.finditer(source.text))
    if not found and (key := _KEY.search(source.text)) is not None:
        found = list(_INLINE_TABLE.finditer(source.text, key.end())) or [key]
    return [_place(source, _first_sign(match)) for match in found] or [Place(0, 0, 0)]


def _node(value: Json, start: Place, source: Source, end: int) -> YamlNode:
    if isinstance(value, dict):
        node = MapNode(start)
        for key, item in value.items():
            line = re.compile(rf"^[ \t]*{re.escape(key)}[ \t]*=", re.MULTILINE).search(source.text, start.index, end)
            at = start if line is None else _place(source, _first_sign(line))
            node.entries[key] = (_scalar(key, at), _node(item, at, source, end))
        return node
    if isinstance(value, list):
        items = ListNode(start)
        items.items = [_node(item, start, source, end) for item in value]
        return items
    return _scalar(value, start)


def _map(start: Mark, entries: Mapping[str, YamlNode]) -> MapNode:
    node = MapNode(start)
    node.entries = {key: (_scalar(key, start), value) for key, value in entries.items()}
    return node


def _scalar(value: Json, start: Mark) -> ScalarNode:
    text = value if isinstance(value, str) else json.dumps(value)
    return ScalarNode(value, text, '"' if isinstance(value, str) else "", start, None)


def _place(source: Source, index: int) -> Place:
    span = source.span(index, index)
    return Place(index, span.line - 1, span.column - 1)


def _first_sign(match: re.Match[str]) -> int:
    return match.end() - len(match[0].lstrip())
