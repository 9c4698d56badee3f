"""The words of a script's commands, as `shell_lexer` finds them."""

import re
from dataclasses import dataclass, field
from typing import Final

from flowq.compiler.shell.programs import EXPANSION

HOLE: Final = "\0"  # stands for a value in the text of a word
ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^=]*\])?\+?=", re.DOTALL)


@dataclass(slots=True)
class Word:
    """A word of a command. `text` has its quotes removed, `holes` are the numbers of the values in it."""

    text: str = ""
    holes: list[int] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)  # values in its substitutions: what is printed there becomes its text
    quoted: bool = False
    spread: bool = False  # has "$@" or its like in it

    @property
    def may_vanish(self) -> bool:
        """Whether it can expand to no word at all, so that the next word takes its place."""
        return bool(self.text) and not self.text.strip(EXPANSION) and (self.spread or not self.quoted)
