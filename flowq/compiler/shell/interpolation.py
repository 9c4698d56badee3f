"""Scripts of `run`: each `${{ }}` becomes an environment variable and the script a constant text that refers to it.

So no value is ever part of a script. What the script refers with is quoted for the place: `"$FLOWQ_V1"` for a bare word, `${FLOWQ_V1}`
inside double quotes, and inside single quotes `'"$FLOWQ_V1"'`, which leaves them for the value. Where quotes do not protect, the place is
refused, unless the value is known to be harmless.
"""

import re
from collections.abc import Callable
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import SiteReader, locate
from flowq.compiler.shell.quoting import Style
from flowq.compiler.shell.scanner import Scanner
from flowq.compiler.syntax.nodes import Json, ScalarNode
from flowq.compiler.syntax.source import Report
from flowq.expr import Expression, Hole

PREFIX: Final = "FLOWQ_V"
KNOWN_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash"})
"""The shells whose parsing is known. ksh and mksh are none of them: they evaluate the arguments of `test`, `shift` and `exit`."""

_REFERENCES: Final = {Style.BARE: '"${}"', Style.DOUBLE: "${{{}}}", Style.SINGLE: "'\"${}\"'", Style.DROPPED: ""}
_PLAIN: Final = re.compile(r"""[^'"\\`#$<]+|'[^']*'|"(?:[^"\\`$]|\$(?=\w))*"|<(?!<)|\$(?=\w)""")
"""The text that every shell reads in the same way: neither an escape, a comment, a here-document, a substitution, nor an open quote."""


def rewrite(
    node: ScalarNode, shell: tuple[str, ...], harmless: Callable[[Expression], bool], reader: SiteReader, report: Report
) -> tuple[str, dict[str, Json]]:
    """Return the constant script and its variables, templated. A script of a shell that is known must close its quotes.

    Args:
        node: the `run` text, with values in it or not.
        shell: the job's own shell, empty for the default.
        harmless: tells of an expression whether all its values are numbers, booleans or constants of the file.
        reader: collects the expressions.
        report: where refusals go.
    """
    if "${{" not in node.value and not _PLAIN.sub("", node.value):
        return node.value, {}  # no quote is open, as in most scripts of a big flow
    pieces = list(reader.parts(node))
    found = [(piece, expression) for piece, expression in pieces if isinstance(piece, Hole)]
    if not is_posix(shell):
        return _unread(node, shell, [hole for hole, _ in found], report)
    scanner = Scanner(node.value, [hole for hole, _ in found], bash=shell_name(shell) == "bash")
    scanner.scan()
    refused = False
    for number, refusal in sorted(scanner.refusals.items()):
        hole, expression = found[number]
        if refusal.final or expression is None or not harmless(expression):
            refused = True
            span = locate(report, node, hole.start, hole.end)
            report.add(Code.UNSAFE_PLACE, span, f"no value can stand here: {refusal.reason}", refusal.help(hole.source))
    if scanner.unclosed is not None and not refused and (found or "${{" not in node.value):
        span = locate(report, node, scanner.unclosed, scanner.unclosed + 1)
        report.add(Code.UNSAFE_PLACE, span, "this quote is never closed", "close the quote")
    return _assemble([piece for piece, _ in pieces], scanner.styles)


def is_posix(shell: tuple[str, ...]) -> bool:
    """Return whether the quoting of a job's shell is known; empty: the default shell."""
    return not shell or shell_name(shell) in KNOWN_SHELLS


def shell_name(shell: tuple[str, ...]) -> str:
    """Return the program of a shell, also behind `env`."""
    words = [word.rpartition("/")[2] for word in shell[:2]]
    return words[-1] if words and words[0] == "env" else "".join(words[:1])


def _unread(node: ScalarNode, shell: tuple[str, ...], holes: list[Hole], report: Report) -> tuple[str, dict[str, Json]]:
    """Return the script of an unknown program unchanged, and without values."""
    if "${{" not in node.value:
        return node.value, {}
    span = locate(report, node, holes[0].start, holes[0].end) if holes else node.span
    message = f"how `{shell[0][:40]}` quotes values is not known, so ${{{{ }}}} cannot stand in its scripts"
    shown = f"${{{{ {holes[0].source[:60]} }}}}" if holes else "a value"
    report.add(Code.UNKNOWN_SHELL, span, message, f"write X: {shown} in the job's `env`, and read that variable in the script")
    return "", {}


def _assemble(pieces: list[str | Hole], styles: dict[int, Style]) -> tuple[str, dict[str, Json]]:
    variables: dict[str, str] = {}  # expression -> variable
    script: list[str] = []
    number = 0
    for piece in pieces:
        if not isinstance(piece, Hole):
            script.append(piece)
            continue
        style = styles.get(number, Style.BARE)
        number += 1
        if style is not Style.DROPPED:
            name = variables.setdefault(piece.source, f"{PREFIX}{len(variables) + 1}")
            script.append(_REFERENCES[style].format(name))
    return "".join(script), {name: {"$": source} for source, name in variables.items()}
