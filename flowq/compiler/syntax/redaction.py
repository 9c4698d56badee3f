"""Redaction of values where references to secrets belong: a value that stands there by mistake must not reach a CI log.

These are `secrets`, the `secret` of a webhook, and `to` and `secret` of `notify`. A diagnostic on a line of such a section shows no source
line, and `***` in place of everything that its message quotes or repeats from the section, except names: keys, variables behind `env:` and
what is in `${{ }}`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from flowq.compiler.diagnostics.diagnostic import Diagnostic
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode
from flowq.plan.notice import KINDS
from flowq.plan.trigger import SCHEMES

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}")
"""The name of a variable, as a reference has it."""

_SECTIONS: Final = ("secrets", "secret")  # the second one is a slip, and what stands below it no less secret
_OPEN: Final = ("on", "message", "slow", "scheme")  # what is no secret of a message, and of a webhook
_WORDS_OF_MESSAGES: Final = ("key", "env", "file", "command", "dotenv", "value", "_", *KINDS, *SCHEMES)
_EXAMPLES: Final = ("TOKEN", "DB_URL", "OPS_URL", "pass", "show")
_LANGUAGE: Final = frozenset({*_SECTIONS, *_OPEN, "to", "sha256", *_WORDS_OF_MESSAGES, *_EXAMPLES})
_JOBS: Final = ("jobs", "templates", "on_success", "on_failure", "on_cancel", "on_exit")
_CUT: Final = 30  # characters after which a message may cut what it repeats
_SIGN: Final = 3  # characters of a sign in quotes, such as ": "

_LINE_BREAK = re.compile("(?:\r\n|[\n\r\x85\u2028\u2029])")
_OPENING = re.compile(
    r"""^["']?(?:secrets?|notify|triggers)["']?[ \t]*:|[ \t{,]["']?secrets?["']?[ \t]*:(?![ \t]*\[)"""
)  # of a job, a list has names in it
_NEXT_KEY = re.compile(r"""["']?\w[^:]*:(?:\s|$)""")
_KEY = re.compile(r"""(?:^|[{,])[ \t]*["']?(\w+)["']?[ \t]*:(?=\s|$)""")
_VARIABLE_NAMED = re.compile(r"""\benv["']?:[ \t]+["']?([A-Za-z_]\w*)(?=["']?[ \t]*(?:$|[},#]))""")
_EXPRESSION = re.compile(r"\$\{\{[^{}]*\}\}")
_QUOTE = re.compile(r"""(?<!\w)['"`]""")
_WORD = re.compile(r"\w+")
_SECRET_WORD = re.compile(r"\w{3,}")  # "a" and "is" are words of messages


def redact(found: Sequence[Diagnostic], text: str, root: YamlNode | None) -> list[Diagnostic]:
    """Return diagnostics without values of secrets.

    Args:
        found: the diagnostics of a file.
        text: the text of the file.
        root: its tree; None where it could not be read to the end.
    """
    if not found or not any(word in text.lower() for word in ("secret", "notify", "webhook")):
        return list(found)
    lines = _LINE_BREAK.split(text)
    ranges = _ranges(root) if isinstance(root, MapNode) else _guessed(lines)
    # A value that is missing at the end of a file has its place in the line after the last one.
    hidden = {number for part in ranges for number in part if number <= len(lines)}
    values = frozenset(word for number in hidden for word in _SECRET_WORD.findall(lines[number - 1]))
    return [_redacted(item, lines[item.line - 1], values) if item.line in hidden else item for item in found]


def _ranges(root: MapNode) -> Iterator[range]:
    """Yield the lines of the sections of a tree; an alias stands on another line than its value."""
    jobs: list[YamlNode | None] = [root.get("defaults")]
    for name in _JOBS:
        below = root.get(name)
        jobs += [entry[1] for entry in below.entries.values()] if isinstance(below, MapNode) else []
    own = [entry for name, entry in root.entries.items() if name.lower() in _SECTIONS]
    listed = [job.entries["secrets"] for job in jobs if isinstance(job, MapNode) and "secrets" in job.entries]
    for key, node in [
        *own,
        *_of_triggers(root),
        *_of_notices(root),
        *(entry for entry in listed if isinstance(entry[1], MapNode)),
    ]:
        yield range(key.span.line, key.span.end_line + 1)
        yield range(node.span.line, node.span.end_line + 1)


def _of_triggers(root: MapNode) -> Iterator[tuple[ScalarNode, YamlNode]]:
    for _, (_, trigger) in _entries(root.get("triggers")):
        webhook = trigger.get("webhook") if isinstance(trigger, MapNode) else None
        if isinstance(webhook, ScalarNode):
            yield webhook, webhook
        yield from (entry for name, entry in _entries(webhook) if name not in _OPEN)


def _of_notices(root: MapNode) -> Iterator[tuple[ScalarNode, YamlNode]]:
    notify = root.get("notify")
    for notice in notify.items if isinstance(notify, ListNode) else (notify,):
        if isinstance(notice, ScalarNode):
            yield notice, notice
        yield from (entry for name, entry in _entries(notice) if name not in _OPEN)


def _entries(node: YamlNode | None) -> Iterable[tuple[str, tuple[ScalarNode, YamlNode]]]:
    return node.entries.items() if isinstance(node, MapNode) else ()


def _guessed(lines: Sequence[str]) -> Iterator[range]:
    """Yield the lines of the sections of a file that is no YAML: each to the next key that is not indented."""
    for number, line in enumerate(lines, 1):
        if _OPENING.search(line):
            following = (later for later in range(number, len(lines)) if _NEXT_KEY.match(lines[later]))
            yield range(number, next(following, len(lines)) + 1)


def _redacted(item: Diagnostic, line: str, values: frozenset[str]) -> Diagnostic:
    names = _LANGUAGE.union(_KEY.findall(line), _VARIABLE_NAMED.findall(line))
    names = names.union(*(_WORD.findall(expression) for expression in _EXPRESSION.findall(line)))
    values -= names
    return replace(item, text="", message=_masked(item.message, names, values), help=_masked(item.help, names, values))


def _masked(text: str, names: frozenset[str], values: frozenset[str]) -> str:
    """Mask the words that are values, and what is in quotes: to the last quote, for a value may have quotes inside."""
    opening = _QUOTE.search(text)
    if opening is None or text.count(opening[0], opening.start()) == 1:
        return _without_values(text, values)
    first, end = opening.end(), text.index(opening[0], opening.end())
    words = _WORD.findall(text[first:end])
    sign = opening[0] == "`" and end - first <= _SIGN
    if names.issuperset(words) and (words or sign):
        return _without_values(text[:first], values) + text[first : end + 1] + _masked(text[end + 1 :], names, values)
    last = text.rindex(opening[0])
    return _without_values(text[:first], values) + "***" + _without_values(text[last:], values)


def _without_values(text: str, values: frozenset[str]) -> str:
    def shown(match: re.Match[str]) -> str:
        word = match[0]
        is_cut = len(word) >= _CUT and any(value.startswith(word) for value in values)
        return "***" if is_cut or word in values else word

    return _WORD.sub(shown, text)
