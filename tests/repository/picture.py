"""The generator of the README's picture: `python -m tests.repository.picture`.

It runs a flow in a fresh home, draws the run's Gantt chart on a terminal, and saves what the terminal shows, for dark and light pages.
"""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Final

import pexpect
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, MONOKAI, TerminalTheme
from rich.text import Text

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "images"
THEMES: Final[dict[str, TerminalTheme]] = {"dark": MONOKAI, "light": DEFAULT_TERMINAL_THEME}

_FLOW: Final = "examples/flows/penguins/penguins.yaml"
_COMMAND: Final = "flowq graph @latest --gantt"
_COLUMNS: Final = 100
_FONT_FACE: Final = re.compile(r"@font-face \{\{.*?\}\}\s*", re.DOTALL)  # fonts of another site: a page must not load them


def shown(home: str) -> str:
    """Return what a terminal shows of a run's chart, with its escape sequences."""
    environment = {**os.environ, "FLOWQ_HOME": home, "FLOWQ_LINGER": "0", "TERM": "xterm-256color", "CI": ""}

    def run(command: str) -> str:
        program = str(Path(sys.executable).parent / command)
        printed = pexpect.run(program, cwd=str(ROOT), env=environment, dimensions=(60, _COLUMNS), timeout=120, encoding="utf-8")
        return str(printed).replace("\r\n", "\n").rstrip()

    run(f"flowq run {_FLOW}")
    return run(_COMMAND)


def picture(text: str, theme: TerminalTheme) -> str:
    """Return the text of a terminal as SVG."""
    console = Console(record=True, width=_COLUMNS, file=open(os.devnull, "w", encoding="utf-8"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(text))
    style = _FONT_FACE.sub("", CONSOLE_SVG_FORMAT).replace("Fira Code", "ui-monospace")
    return console.export_svg(title=_COMMAND, theme=theme, code_format=style, unique_id="flowq")


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as home:
        text = shown(home)
    FOLDER.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        (FOLDER / f"gantt-{name}.svg").write_text(picture(text, theme), encoding="utf-8")


if __name__ == "__main__":
    main()
