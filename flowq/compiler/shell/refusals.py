"""The reasons why a value cannot stand at a place of a script, and their common remedy."""

from dataclasses import dataclass
from typing import Final

REMEDY: Final = 'write x=${{ … }} first, then "$x"'


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason why no value can stand at a place. `final`: not even one that is harmless, such as a number."""

    reason: str
    final: bool = False


ANSI: Final = Refusal("inside $'…' nothing is expanded", final=True)
ESCAPED: Final = Refusal("a backslash before ${{ takes the meaning from the $", final=True)
DOLLAR: Final = Refusal("a $ right before ${{ changes what the shell reads", final=True)
LITERAL_TEXT: Final = Refusal("in a here-document with a quoted end nothing is expanded", final=True)
UNCLOSED: Final = Refusal("the quote around it is never closed", final=True)
TOO_DEEP: Final = Refusal("substitutions are nested too deeply here", final=True)

BACKTICK: Final = Refusal("inside `…` quotes are read twice")
ARITHMETIC: Final = Refusal("arithmetic evaluates what it finds in variables, and evaluation can run commands")
PARAMETER: Final = Refusal("inside ${…} the value would be read as part of the expansion")
SUBSCRIPT: Final = Refusal("a subscript is evaluated, and evaluation can run commands")
DOCUMENT: Final = Refusal("this here-document has substitutions, and quotes do not protect there")
DESCRIPTOR: Final = Refusal("bash expands what stands behind >& a second time")
INTEGER: Final = Refusal("the script declares number variables, and an assignment to one is evaluated")
NUMBER_VARIABLE: Final = Refusal("the shell evaluates what is assigned to this variable, and evaluation can run commands")
LOADER: Final = Refusal("this variable changes how programs load or how the shell reads")

PROGRAM: Final = Refusal("the value would choose which command the shell runs")
NAME: Final = Refusal("the value would be read as the name of a variable")
OPTION: Final = Refusal("the shell could read this value as an option or a name")
TEST: Final = Refusal("`test` could read this value as an operator or a name")
COMPARED: Final = Refusal("[[ ]] evaluates numbers and names, and evaluation can run commands")
NO_TEST: Final = Refusal("a shell without [[ ]] or &> would start a command here")
TOO_MANY: Final = Refusal("the command could run too many others to be sure of them")
SHELL: Final = Refusal("the shell that starts here could read this value as its script or an option")
FED: Final = Refusal("it comes to the standard input of a shell that reads its script there")


def reads_again(command: str) -> Refusal:
    """Return the refusal for the words of a command that the shell reads again, as a script, a name or an option."""
    return Refusal(f"`{command}` reads its words again")


def uncertain(why: str) -> Refusal:
    """Return the refusal for all values behind a place that shells may read differently."""
    return Refusal(f"how shells read this place is not certain: {why}", final=True)
