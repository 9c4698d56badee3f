"""How much of a file its diagnostics show, and what they say of a file that they must not repeat.

A message about a flow repeats names and values of it. Of a file that is no flow of the project, such as `--params-file /etc/shadow` or a link
to it, a message has only the place and words of flowq's own.
"""

from enum import Enum
from typing import Final

from flowq.compiler.diagnostics.codes import Code


class Shown(Enum):
    """What diagnostics of a file show of its text."""

    LINES = "lines"  # a flow file: its lines, and names and values in messages
    WORDS = "words"  # another file that the flow or its user named: names and values in messages
    NOTHING = "nothing"


_UNCHANGED: Final = frozenset({Code.UNREADABLE, Code.TOO_LARGE, Code.TOO_DEEP, Code.TOO_MANY_NODES, Code.EMPTY})
_SENTENCES: Final = {
    Code.NOT_UTF8: "the file is not UTF-8",
    Code.CONTROL_CHARACTER: "this control character is not allowed in a flow file",
    Code.SYNTAX: "this is not YAML",
    Code.DUPLICATE_KEY: "duplicate key",
    Code.TAG: "the tag is not known, or the value does not match it",
    Code.SEVERAL_DOCUMENTS: "a second document begins here",
    Code.NUMBER: "this number cannot be used",
    Code.ALIAS: "there is no such anchor",
    Code.MERGE: "`<<` merges a map or a list of maps",
    Code.KEY: "this cannot be a key",
    Code.PARAMS_FILE: "expected a map from param to value",
    Code.UNKNOWN_PARAM: "the flow has no param of this name",
    Code.PARAM_TYPE: "the value does not have the type of the param",
    Code.PARAM_RULE: "the value breaks a rule of the param",
}
_WHY: Final = (
    "its text is not shown: flow and params files end with .yaml, .yml or .json and lie, links resolved, below the root of the project; "
    "--root names another root"
)


def withheld(code: Code, message: str, hint: str) -> tuple[str, str]:
    """Return message and help of a diagnostic without text of its file."""
    if code in _UNCHANGED:
        return message, hint
    own = f"{hint}; {_WHY}" if code is Code.UNKNOWN_PARAM else _WHY  # the names of params that the flow has
    return _SENTENCES.get(code, f"a problem: docs/errors.md explains {code}"), own
