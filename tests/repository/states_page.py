"""The generator of the diagram of job states in docs/architecture.md: `python -m tests.repository.states_page --check` or `--write`."""

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Final

from flowq.states import ENDED, TRANSITIONS
from tests.repository.generated import main

ROOT: Final = Path(__file__).resolve().parents[2]
TARGET: Final = ROOT / "docs" / "architecture.md"

_BLOCK: Final = re.compile(r"<!-- states -->\n(?:\n```mermaid\n.*?```\n)?", re.DOTALL)


def diagram() -> str:
    """Return the table of transitions as a Mermaid state diagram, with one state for all ends."""
    labels: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for name, edges in TRANSITIONS.items():
        for start, end in edges:
            edge = tuple(_state(status) for status in (start, end))
            if edge[1] != "[*]" and edge[0] != edge[1]:
                labels[edge[0], edge[1]].add(name)
    lines = [f"    {start} --> {end}: {', '.join(sorted(names))}" for (start, end), names in sorted(labels.items())]
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _state(status: str) -> str:
    return "[*]" if status == "-" else "ended" if status in ENDED else str(status)


def page(text: str) -> str:
    """Return the page with the current diagram."""
    return _BLOCK.sub(lambda _: f"<!-- states -->\n\n{diagram()}", text, count=1)


if __name__ == "__main__":
    sys.exit(main(TARGET, page, "tests.repository.states_page"))
