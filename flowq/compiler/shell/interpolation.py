"""Scripts of `run`: each `${{ }}` becomes an environment variable and the script a constant text that refers to it.

So no value is ever part of a script. What the script refers with is quoted for the place: `"$FLOWQ_V1"` for a bare word, `${FLOWQ_V1}`
inside double quotes, and inside single quotes `'"$FLOWQ_V1"'`, which leaves them for the value. Where no reference is safe, the place is refused with the reason and the fix.
"""

import re
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import SiteReader, locate
from flowq.compiler.shell.lexer import ShellLexer
from flowq.compiler.shell.quoting import Style
from flowq.compiler.syntax.nodes import Json, ScalarNode
from flowq.compiler.syntax.source import Report
from flowq.expr import Hole

PREFIX: Final = "FLOWQ_V"
KNOWN_SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh"})

_REFERENCES: Final = {Style.BARE: '"${}"', Style.DOUBLE: "${{{}}}", Style.SINGLE: "'\"${}\"'"}
_PLAIN: Final = re.compile(r"""[^'"\\`#$<]+|'[^']*'|"(?:[^"\\`$]|\$(?=\w))*"|<(?!<)|\$(?=\w)""")
"""What is read in one way only: neither an escape, a comment, a here-document, a substitution, nor an open quote."""


def rewrite(node: ScalarNode, shell: tuple[str, ...], reader: SiteReader, report: Report) -> tuple[str, dict[str, Json]]:
    """Return the constant script and its variables, templated. A script of a shell that is known must close its quotes.

    Args:
        node: the `run` text, with values in it or not.
        shell: the job's own shell, empty for the default.
        reader: collects the expressions.
        report: where refusals go.
    """
    if "${{" not in node.value and not _PLAIN.sub("", node.value):
        return node.value, {}  # no quote is open: so are most scripts of a big flow
    pieces = list(reader.parts(node))
    holes = [piece for piece, _ in pieces if isinstance(piece, Hole)]
    if not is_posix(shell):
        if "${{" not in node.value:
            return node.value, {}
        span = locate(report, node, holes[0].start, holes[0].end) if holes else node.span
        message = f"how `{shell[0][:40]}` quotes values is not known, so ${{{{ }}}} cannot stand in its scripts"
        report.add(Code.UNKNOWN_SHELL, span, message, "give the value in `env:` and read that variable in the script")
        return "", {}
    lexer = ShellLexer(node.value, holes)
    lexer.scan()
    for number, refusal in sorted(lexer.refusals.items()):
        if lexer.styles.get(number) is not Style.DROPPED:
            span = locate(report, node, holes[number].start, holes[number].end)
            report.add(Code.UNSAFE_PLACE, span, f"no value can stand here: {refusal.reason}", refusal.help)
    if lexer.unclosed is not None and not lexer.refusals and (holes or "${{" not in node.value):
        span = locate(report, node, lexer.unclosed, lexer.unclosed + 1)
        report.add(Code.UNSAFE_PLACE, span, "this quote is never closed", "close the quote")
    return _assemble([piece for piece, _ in pieces], lexer)


def is_posix(shell: tuple[str, ...]) -> bool:
    """Tell whether a job's shell is one whose quoting is known; empty: the default one."""
    words = [word.rpartition("/")[2] for word in shell[:2]]
    return not words or words[0] in KNOWN_SHELLS or (words[0] == "env" and words[-1] in KNOWN_SHELLS)


def _assemble(pieces: list[str | Hole], lexer: ShellLexer) -> tuple[str, dict[str, Json]]:
    variables: dict[str, str] = {}  # expression -> variable
    script: list[str] = []
    number = 0
    for piece in pieces:
        if not isinstance(piece, Hole):
            script.append(piece)
            continue
        style = lexer.styles.get(number, Style.BARE)
        number += 1
        if style is Style.DROPPED:
            continue
        name = variables.setdefault(piece.source, f"{PREFIX}{len(variables) + 1}")
        script.append(_REFERENCES[style].format(name))
    return "".join(script), {name: {"$": source} for source, name in variables.items()}
