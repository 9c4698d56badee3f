"""The targets of the Makefile, read from its text."""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]


def phony_targets() -> set[str]:
    """Return the targets that are commands rather than files."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name for line in re.findall(r"^\.PHONY:(.*)$", text, re.MULTILINE) for name in line.split()}


def recipe_targets(text: str) -> set[str]:
    """Return the targets that a shell text calls as `make TARGET`."""
    return set(re.findall(r"\bmake ([a-z]+)\b", text))
