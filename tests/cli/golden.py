"""Golden texts: the expected output in files. FLOWQ_GOLDEN=write rewrites them."""

import os
from collections.abc import Iterable
from pathlib import Path

from flowq.cli.render.styled_text import Line, paint

FOLDER = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Assert that a text equals the file of this name."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("FLOWQ_GOLDEN") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    expected = path.read_text(encoding="utf-8")
    assert text == expected, f"{path.name} differs; FLOWQ_GOLDEN=write accepts the new text:\n{text}"


def plain(lines: Iterable[Line]) -> str:
    """Return lines as text for a pipe."""
    return "".join(paint(line, color=False) + "\n" for line in lines)
