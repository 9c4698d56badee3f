r"""`dotenv`: files with environment variables, one `NAME=value` a line.

It supports the forms common to all tools: comments, `export`, unquoted values up to ` #` or the end of the line, literal `'…'`, and
`"…"` with `\n \t \" \\ \$`. There is no substitution: a `$` is literal. The values are read when the flow is compiled and stored with
the run, like the rest of the flow.
"""

import re
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import StaticScope
from flowq.compiler.syntax.files import Beside, Files
from flowq.compiler.syntax.nodes import ListNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report, Source

MAX_CHARACTERS: Final = 1_000_000

_LINE = re.compile(r"[ \t]*(?:export[ \t]+)?(?P<name>[^=\s#]+)[ \t]*=[ \t]*(?P<value>.*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
_SINGLE = re.compile(r"'(?P<text>[^']*)'\s*(?:#.*)?")
_DOUBLE = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_COMMENT = re.compile(r"(?:^|\s)#.*")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$"}


def read_dotenv(node: YamlNode | None, place: Beside, scope: StaticScope, files: Files, report: Report) -> dict[str, str]:
    """Return the variables of the files that a flow names; later files take precedence."""
    items = node.items if isinstance(node, ListNode) else [node]
    found: dict[str, str] = {}
    for item in items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue
        path = scope.evaluate(item, report)
        if not isinstance(path, str) or not path:
            continue
        name = path.removesuffix("?")
        loaded = files.read(place, name, item.span, report, code=Code.DOTENV, optional=name != path)
        if loaded is not None:
            found.update(_parse(*loaded))
    return found


def _parse(source: Source, report: Report) -> dict[str, str]:
    if len(source.text) > MAX_CHARACTERS:
        report.add(Code.DOTENV, source.span(0, 1), f"a file of variables may have {MAX_CHARACTERS:,} characters", "")
        return {}
    found: dict[str, str] = {}
    offset = 0
    for line in source.text.splitlines(keepends=True):
        text = line.strip()
        if text and not text.startswith("#"):
            start = offset + line.index(text[0])
            _variable(text, start, source, report, found)
        offset += len(line)
    return found


def _variable(text: str, start: int, source: Source, report: Report, found: dict[str, str]) -> None:
    match = _LINE.fullmatch(text)
    if match is None:
        report.add(Code.DOTENV, source.span(start, start + len(text)), "expected NAME=value", "a comment begins with #")
        return
    name, value = match["name"], _value(match["value"])
    place = source.span(start + match.start("name"), start + match.end("name"))
    if not _NAME.fullmatch(name):
        report.add(Code.ENV_NAME, place, "this name cannot be that of an environment variable", "letters, digits and `_`")
    elif name.startswith("FLOWQ_"):
        message = "names that begin with FLOWQ_ are reserved: flowq itself sets them"  # not its name: this is no flow file
        report.add(Code.ENV_NAME, place, message, "choose another name")
    elif value is None:
        span = source.span(start + match.start("value"), start + len(text))
        report.add(Code.DOTENV, span, "this quote is not closed on its line", 'a line break is written "\\n" in double quotes')
    else:
        found[name] = value


def _value(text: str) -> str | None:
    if text.startswith("'"):
        quoted = _SINGLE.fullmatch(text)
        return None if quoted is None else quoted["text"]
    if text.startswith('"'):
        quoted = _DOUBLE.fullmatch(text)
        return None if quoted is None else _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[0]), quoted["text"])
    return _COMMENT.sub("", text).rstrip()
