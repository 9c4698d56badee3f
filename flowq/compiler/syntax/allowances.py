"""Comments that silence warnings: `# flowq: allow FQ504` at the end of a line, or alone on the line above it.

Only warnings can be allowed, each on its line. In the script of a job, the comment is one of the script.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from flowq.compiler.diagnostics.codes import WARNINGS, Code
from flowq.compiler.diagnostics.suggestions import close_match, listing

_COMMENT: Final = re.compile(r"#[ \t]*flowq:[ \t]*(?P<verb>[A-Za-z-]+)\b[ \t:]*(?P<codes>[^\n\r#]*)")
_CODE: Final = re.compile(r"[^\s,]+")
_LIKE_A_CODE: Final = re.compile(r"[A-Za-z]{1,3}-?\d")
_MOST: Final = 40  # codes listed
_ALLOW: Final = "allow"
_ALL: Final = frozenset(str(code) for code in Code)
_ALLOWABLE: Final = frozenset(str(code) for code in WARNINGS)


@dataclass(frozen=True, slots=True)
class Allowance:
    """A comment. `start` and `end` are offsets in the text; `alone`: nothing is before it on its line, so it is for the next one."""

    start: int
    end: int
    codes: frozenset[str]
    alone: bool


@dataclass(frozen=True, slots=True)
class BadAllowance:
    """What is wrong with a comment at these offsets: message and help."""

    start: int
    end: int
    message: str
    help: str


def find_allowances(text: str) -> Iterator[Allowance | BadAllowance]:
    """Yield the comments of a flow file, and what is wrong with them."""
    if "flowq:" not in text:
        return
    for match in _COMMENT.finditer(text):
        words = [(word[0].upper(), match.start("codes") + word.start()) for word in _CODE.finditer(match["codes"])]
        if match["verb"] != _ALLOW:
            if words and _LIKE_A_CODE.match(words[0][0]) and close_match(match["verb"], [_ALLOW]):
                yield BadAllowance(*match.span("verb"), f"unknown word {match['verb']!r}", f"did you mean {_ALLOW}?")
            continue
        if not words:
            yield BadAllowance(
                *match.span("verb"), "no code is allowed here", "write the codes of warnings: `# flowq: allow FQ504`"
            )
        line = text.rfind("\n", 0, match.start()) + 1
        yield Allowance(
            match.start(), match.end(), frozenset(word for word, _ in words), not text[line : match.start()].strip()
        )
        for word, start in words:
            if word not in _ALLOWABLE:
                yield BadAllowance(start, start + len(word), *_problem(word))


def _problem(word: str) -> tuple[str, str]:
    if word in _ALL:
        return f"{word} is an error", "only warnings can be allowed"
    return f"there is no warning {word[:40]}", f"the codes of warnings are {listing(sorted(_ALLOWABLE), _MOST)}"
