"""Why a value cannot stand at a place of a script, and what to write instead: the words of FQ501."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no value can stand at a place, and what to do instead."""

    reason: str
    help: str


SHELL_ARGUMENT = "pass it as an argument: {name} {flag} '… \"$1\" …' _ ${{{{ … }}}}"
ARGUMENT = "pass it as an argument, behind the program: {name} {flag} '…' ${{{{ … }}}}"
EXPORTED = "export the value first: export x=${{ … }}, then '… \"$x\" …'"
READ_AGAIN: Final = {
    "eval": Refusal("`eval` reads its words again as a script", "call the command without eval"),
    "trap": Refusal(
        "`trap` reads its words again as a script", "put the value into a variable first: x=${{ … }}, then '… \"$x\" …'"
    ),
    "alias": Refusal("`alias` reads its words again as a script", 'use a function with "$1"'),
    "let": Refusal("`let` evaluates its words, and evaluation can run commands", "compute the value in an expression or a job"),
    "source": Refusal("the value would choose which script is read", "write the script's name"),
    ".": Refusal("the value would choose which script is read", "write the script's name"),
    "ssh": Refusal(
        "`ssh` gives its words to a shell on the other side, which reads them again", "send the value on standard input"
    ),
    "watch": Refusal("`watch` gives its words to a shell, which reads them again", "write watch -x"),
    "parallel": Refusal("`parallel` gives its words to a shell, which reads them again", EXPORTED),
    **{
        name: Refusal(
            f"`{name}` takes names of variables, and a name can hold a command", "write the name; put only values in ${{ }}"
        )
        for name in (
            "unset",
            "read",
            "mapfile",
            "readarray",
            "getopts",
            "enable",
            "compgen",
            "complete",
            "bind",
            "hash",
            "wait",
        )
    },
}
PROGRAM = Refusal(
    "the value would choose which program runs", "write the program's name, or use the list form: run: ['${{ … }}', …]"
)
AFTER_NOTHING = Refusal(
    "when what stands before it is empty, the value would choose which program runs",
    "put double quotes around the expansion before it",
)
OPTION = Refusal("the value would choose which program or option runs", "write the program's name before it")
EVALUATED = Refusal(
    "[[ ]] evaluates numbers, and evaluation can run commands",
    "use [ … ] instead, or compare in an expression: `if: params.n > 3`",
)
TEST = Refusal(
    "`test` could read this value as an operator", "write [ -n … ] or [ … = … ], one comparison at a time, joined by &&"
)
FORMAT = Refusal("`printf` would read the value as its format or an option", "write printf '%s\\n' ${{ … }}")
SET = Refusal("`set` could read the value as an option", "write set -- ${{ … }}")
INDEX = Refusal("a subscript is evaluated, and evaluation can run commands", "put only the value of an assignment in ${{ }}")
DECLARED = Refusal("the value would be read as a name or a number expression", "write name=${{ … }} without flags")
TOO_MANY = Refusal("the command could run too many others to be sure of them", "split the command into several")
FED: Final = Refusal(
    "it comes to the standard input of a program that reads its script there",
    "write the script into the command and pass the value as an argument: sh -c '… \"$1\" …' _ ${{ … }}",
)
LOADER = Refusal("this variable changes how programs load or how the shell reads", "give it a constant value")
LANGUAGE: Final = Refusal(
    "inside '…' the value would be a part of a program for awk, sed or jq",
    "give it as a variable: awk -v x=${{ … }}, jq --arg x ${{ … }}; for sed write the value outside the quotes, if it may be code",
)
