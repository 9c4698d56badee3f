"""The examples of `docs/language.md`: the flows and their files.

A block that begins with `# file: NAME` is a file for other examples. `<!-- ends: failed -->` before a block gives the status of its run, if
it is not `finished`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GUIDE: Final = Path(__file__).resolve().parents[2] / "docs" / "language.md"
PROGRAMS: Final = (
    *(
        "build",
        "check-report",
        "compile",
        "docs",
        "fetch",
        "flaky",
        "forget",
        "import",
        "lint",
        "load",
        "notify",
        "package",
        "publish",
    ),
    *("repair", "report", "ship", "spell", "test-quick", "test-units", "work"),
)
"""What the examples execute, besides the tools every system has: here programs that do nothing."""

VARIABLES: Final = {
    "DATABASE_URL": "postgres://flow:g0ose-f3ather@db.example.org/rows",
    "SHIPPING_TOKEN": "can't be $een: /a+b c",
    "EMPTY_TOKEN": "",
}
"""What the worker's environment has for them and for the tests of secrets."""

SECRETS: Final = {"secrets/token": "a-token-of-the-guide\n", "show-key.sh": "echo a-key-of-the-guide\n"}
"""Files with secrets."""

_BLOCK = re.compile(r"(?:<!-- ends: (?P<ends>\w+) -->\n)?```(?P<kind>yaml|ini|csv)\n(?P<text>.*?)```", re.DOTALL)
_FILE = re.compile(r"# file: (\S+)\n")


@dataclass(frozen=True)
class Example:
    """A flow of the guide. `title`: the title of its section."""

    title: str
    text: str
    ends: str


def examples() -> list[Example]:
    """Return the flows of the guide in order."""
    found = []
    for title, block in _blocks():
        if block["kind"] == "yaml" and not _FILE.match(block["text"]):
            found.append(Example(title, block["text"], block["ends"] or "finished"))
    return found


def files() -> dict[str, str]:
    """Return the files of the examples, by name."""
    named = [(_FILE.match(block["text"]), block["text"]) for _, block in _blocks()]
    return {match[1]: text for match, text in named if match is not None}


def _blocks() -> list[tuple[str, re.Match[str]]]:
    text = GUIDE.read_text(encoding="utf-8")
    titles = [(match.start(), match[1]) for match in re.finditer(r"^#+ (.*)$", text, re.MULTILINE)]
    return [
        (next(title for start, title in reversed(titles) if start < block.start()), block) for block in _BLOCK.finditer(text)
    ]
