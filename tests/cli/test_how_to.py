"""The how-to pages: their files are written, their commands are run, and their output is compared with the page."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.compiler import compile_file, render
from tests.support.pages import commands_of
from tests.support.shells import flowq_on_path
from tests.support.wait import until

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "how-to").glob("*.md")), DOCS / "artifacts.md"]

VALUES = {"version": "1.0.0", "day": "2026-01-31"}  # of params without a default


def files(page: str) -> dict[str, str]:
    """Return the flows and modules of a page by the name in their first line."""
    found = re.findall(r"^```(?:yaml|python)\n(# (\S+)\n.*?)^```", page, re.MULTILINE | re.DOTALL)
    return {name: text for text, name in found}


@pytest.fixture(scope="module")
def of_a_reader() -> Iterator[dict[str, str]]:
    """The variables of a reader's shell that are the same for each page."""
    with flowq_on_path({"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}) as environment:
        yield environment


@pytest.mark.slow
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_does_what_it_says(path: Path, home: Path, tmp_path: Path, of_a_reader: dict[str, str]) -> None:
    page = path.read_text(encoding="utf-8")
    for name, text in files(page).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    for name in files(page):
        if name.endswith(".yaml"):
            required = {key: value for key, value in VALUES.items() if f"  {key}: {{" in files(page)[name]}
            compiled = compile_file(tmp_path / name, params=required, date="2026-01-31")
            assert compiled.diagnostics == (), "\n".join(map(render, compiled.diagnostics))
    environment = {**of_a_reader, "HOME": str(tmp_path), "FLOWQ_HOME": str(home), "FLOWQ_LINGER": "30"}

    def typed(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    for command, expected in commands_of(page):
        if command.startswith("flowq approve"):  # as a reader does, after the question
            until(lambda: "next: flowq approve" in typed("flowq status").stdout, 30, "the question")
        done = typed(command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        shown = " ".join(done.stdout.split())
        for line in expected:
            assert " ".join(line.split()) in shown, (command, line, done.stdout, done.stderr)


def test_every_block_of_a_page_is_tried() -> None:
    """A block of YAML or Python has a name, so it is written and compiled; each page runs a flow."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        assert len(files(page)) == len(re.findall(r"^```(?:yaml|python)$", page, re.MULTILINE)), path.name
        assert any(command.startswith("flowq run") for command, _ in commands_of(page)), path.name
