"""The reasons why a value cannot stand at a place of a script, and what to write instead."""

from dataclasses import dataclass
from typing import Final

_VARIABLE: Final = 'write x={} on a line before, then "$x" here'
_BEFORE: Final = 'write x={} at the start of the script, then "$x" here'
_QUOTED: Final = """write X: {} in the job's `env`, and '"$X"' in single quotes here"""
_NUMBER: Final = "if it is a number, declare its type, or write {number} here"
_CONSTANT: Final = "write a constant; numbers, enums and constants of the file may stand here too"
_SHOWN: Final = 60  # characters of an expression in a help line


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason why no value can stand at a place.

    Attributes:
        reason: for the message.
        final: not even a harmless value, such as a number, can stand there.
        remedy: for the help line, with the hole at `{}` or `{number}`.
    """

    reason: str
    final: bool = False
    remedy: str = _VARIABLE

    def help(self, source: str) -> str:
        """Return the help line for an expression: what to write instead, ready to be copied."""
        shown = source.strip() if len(source) <= _SHOWN and "\n" not in source else "…"
        return self.remedy.format(f"${{{{ {shown} }}}}", number=f"${{{{ number({shown}) }}}}")


ANSI: Final = Refusal("inside $'…' nothing is expanded", final=True, remedy="write it between two of them: $'…'{}$'…'")
ESCAPED: Final = Refusal("a backslash before ${{ takes the meaning from the $", final=True, remedy="remove the backslash")
DOLLAR: Final = Refusal("a $ right before ${{ changes what the shell reads", final=True, remedy="remove the $ before it")
LITERAL_TEXT: Final = Refusal(
    "in a here-document with a quoted end nothing is expanded",
    final=True,
    remedy="write x={} before the command, <<EOF without quotes, and $x here",
)
UNCLOSED: Final = Refusal("the quote around it is never closed", final=True, remedy="close the quote")
TOO_DEEP: Final = Refusal("substitutions are nested too deeply here", final=True)

BACKTICK: Final = Refusal("inside `…` quotes are read twice", remedy="write $(…) instead of `…`")
ARITHMETIC: Final = Refusal("arithmetic evaluates what it finds in variables, and evaluation can run commands", remedy=_NUMBER)
PARAMETER: Final = Refusal("inside ${…} the value would be read as part of the expansion")
SUBSCRIPT: Final = Refusal("a subscript is evaluated, and evaluation can run commands", remedy=_NUMBER)
DOCUMENT: Final = Refusal(
    "this here-document has substitutions, and quotes do not protect there", remedy="write x={} before the command, and $x here"
)
DESCRIPTOR: Final = Refusal("bash expands what stands behind >& a second time")
INTEGER: Final = Refusal("the script declares number variables, and an assignment to one is evaluated", remedy=_NUMBER)
NUMBER_VARIABLE: Final = Refusal(
    "the shell evaluates what is assigned to this variable, and evaluation can run commands", remedy=_NUMBER
)
LOADER: Final = Refusal("this variable changes how programs load or how the shell reads", remedy=_CONSTANT)

PROGRAM: Final = Refusal("the value would choose which command the shell runs", remedy=_CONSTANT)
NAME: Final = Refusal("the value would be read as the name of a variable", remedy=_CONSTANT)
OPTION: Final = Refusal("the shell could read this value as an option or a name")
TEST: Final = Refusal("`test` could read this value as an operator or a name")
COMPARED: Final = Refusal("[[ ]] evaluates numbers and names, and evaluation can run commands", remedy=_NUMBER)
NO_TEST: Final = Refusal("a shell without [[ ]] or &> would start a command here")
TOO_MANY: Final = Refusal("the command could run too many others to be sure of them")
SHELL: Final = Refusal("the shell that starts here could read this value as its script or an option", remedy=_QUOTED)
FED: Final = Refusal("it comes to the standard input of a shell that reads its script there", remedy=_QUOTED)


def reads_again(command: str) -> Refusal:
    """Return the refusal for the words of a command that the shell reads again, as a script, a name or an option."""
    return Refusal(f"`{command}` reads its words again", remedy=_QUOTED)


def uncertain(why: str) -> Refusal:
    """Return the refusal for all values behind a place that shells may read differently."""
    return Refusal(f"how shells read this place is not certain: {why}", final=True, remedy=_BEFORE)
