"""The generator of `docs/pictures`: `make pictures`.

It runs the example of `make run` on a private server, takes what a terminal shows during the run and after it, and writes each as an SVG
file for light and for dark pages. Times and ids differ from run to run, so nothing compares the files with a new run.
"""

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pexpect
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from tests.repository.makefile import ROOT

FOLDER: Final = ROOT / "docs" / "pictures"
FLOW: Final = "examples/flows/penguins/penguins.yaml"
FLOWQ: Final = Path(sys.executable).parent / "flowq"
WIDTH: Final = 84  # columns of the terminal
LINES: Final = 40  # rows of the terminal
TRIES: Final = 100  # frames looked at before the run counts as too fast

_COLORS: Final = ((180, 35, 24), (22, 120, 60), (138, 90, 0), (9, 88, 190), (120, 60, 170), (10, 110, 125), (90, 98, 108))
_LIGHT_COLORS: Final = (
    (255, 123, 114),
    (86, 211, 100),
    (227, 179, 65),
    (121, 192, 255),
    (210, 168, 255),
    (86, 212, 221),
    (200, 209, 217),
)
THEMES: Final = {
    "light": TerminalTheme((246, 248, 250), (31, 35, 40), [(31, 35, 40), *_COLORS], [(110, 119, 129), *_COLORS]),
    "dark": TerminalTheme((13, 17, 23), (201, 209, 217), [(110, 118, 129), *_LIGHT_COLORS], [(139, 148, 158), *_LIGHT_COLORS]),
}
# The frame of rich, without the fonts that it loads from elsewhere.
FRAME: Final = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{font: {char_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  line-height: {line_height}px; white-space: pre}}
.{unique_id}-title {{font: bold 16px ui-sans-serif, system-ui, sans-serif}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@contextmanager
def fresh_home() -> Iterator[dict[str, str]]:
    """Yield the environment of a user without runs, on a terminal with colours; end its server."""
    with tempfile.TemporaryDirectory(prefix="fq-", dir="/tmp") as home:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("FLOWQ_", "CI", "NO_COLOR"))}
        environment.update(FLOWQ_HOME=home, TERM="xterm-256color", COLUMNS=str(WIDTH), LINES=str(LINES), LANG="C.UTF-8")
        try:
            yield environment
        finally:
            subprocess.run([str(FLOWQ), "server", "stop"], env=environment, capture_output=True, timeout=60, check=False)


def on_terminal(environment: Mapping[str, str], *arguments: str) -> str:
    """Return what a command prints on a terminal."""
    child = pexpect.spawn(
        str(FLOWQ), [*arguments], cwd=str(ROOT), env=dict(environment), dimensions=(LINES, WIDTH), encoding="utf-8", timeout=120
    )
    child.expect(pexpect.EOF)
    child.close()
    return str(child.before).replace("\r\n", "\n")


def picture(shown: str, title: str, theme: str) -> str:
    """Return the SVG document of what a terminal shows."""
    console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(shown.rstrip()), no_wrap=True, crop=True)
    drawn = console.export_svg(title=title, theme=THEMES[theme], code_format=FRAME, unique_id=f"flowq-{theme}")
    return "".join(f"{line.rstrip()}\n" for line in drawn.splitlines() if line.strip())


def frames() -> dict[str, tuple[str, str]]:
    """Run the flow; return title and text of each picture by name."""
    with fresh_home() as environment:
        on_terminal(environment, "run", FLOW, "--workers", "2", "--detach", "--run-id", "penguins")
        for _ in range(TRIES):
            live = on_terminal(environment, "status", "penguins")
            if live.count("▶") > 2 and live.count("✔") > 2 and "classify" in live:
                break
        else:
            raise SystemExit("pictures: the run ended before it was seen running")
        on_terminal(environment, "status", "penguins", "--watch")
        gantt = on_terminal(environment, "graph", "penguins", "--gantt")
    return {"run": ("flowq status", live), "gantt": ("flowq graph --gantt", gantt)}


def main() -> int:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    for name, (title, shown) in frames().items():
        for theme in THEMES:
            (FOLDER / f"{name}-{theme}.svg").write_text(picture(shown, title, theme), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
