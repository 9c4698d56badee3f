"""The code in the documents that describe the queue, beside the checkout or in `FLOWQ_SEEDS`."""

import os
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SEEDS: Final = Path(os.environ.get("FLOWQ_SEEDS") or ROOT.parent / "shared" / "seeds")

# A line of code in a document without fences: its start, or the continuation of an indented or open line.
_CODE = re.compile(
    r"^(from \w|import \w|def \w|class \w|return |if .*:$|elif .*:$|else:$|for .* in .*:$|print\(|assert |#|@\w|>>>|\w+ = [\w']|[\w.]+\(.*\)?)"
)
_PROSE = re.compile(r"^(from|import|if|for) .*[a-z] [a-z]+ [a-z]+ ")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code in a document; `number` counts from 1."""

    document: str
    number: int
    language: str
    code: str

    @property
    def name(self) -> str:
        return f"{self.document}-{self.number}"


def blocks() -> list[Block]:
    """Return all code of all documents."""
    return [
        block
        for path in sorted(SEEDS.glob("*.txt"))
        for block in _of(f"F{int(path.name[:3])}", path.read_text(encoding="utf-8"))
    ]


def _of(document: str, text: str) -> list[Block]:
    found = _fenced(text) if "```" in text else []
    found += [("python", code) for code in (_bare(text) if "```" not in text else _indented(text))]
    return [Block(document, number, language, code) for number, (language, code) in enumerate(found, start=1)]


def _fenced(text: str) -> list[tuple[str, str]]:
    return [
        (match[1] or "python", textwrap.dedent(match[2]))
        for match in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]


def _indented(text: str) -> list[str]:
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    pieces = re.findall(r"(?:^    \S.*\n)+", outside, re.MULTILINE)
    return [textwrap.dedent(piece) for piece in pieces if _is_python(textwrap.dedent(piece))]


def _bare(text: str) -> list[str]:
    """Find unfenced code: runs of lines that look like code and can be compiled."""
    out: list[str] = []
    current: list[str] = []
    for line in [*text.splitlines(), ""]:
        goes_on = bool(current) and (line.startswith("    ") or (not line and current[-1].endswith(":")))
        if line and (goes_on or (_CODE.match(line) and not _PROSE.match(line))):
            current.append(line)
        elif current:
            out.append("\n".join(current) + "\n")
            current = []
    return [piece for piece in out if _is_python(piece)]


def _is_python(code: str) -> bool:
    try:
        compile(code, "a document", "exec")
    except SyntaxError:
        return False
    return any(mark in code for mark in ("=", "(", "import"))
