"""The tutorial, word by word: its file is written, its commands are typed, and what it shows is what comes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FAILS = ("flowq run report.yaml --workers 2",)  # the page says so


def commands() -> list[tuple[str, list[str]]]:
    """Return each command of the page with the lines of output shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def test_the_page_has_commands() -> None:
    assert len(commands()) > 15


@pytest.mark.slow
def test_every_command_does_what_the_page_says(home: Path, tmp_path: Path) -> None:
    files = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in files:
        (tmp_path / name).write_text(f"# {name}\n{text}", encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "FLOWQ_HOME": str(home),
        "FLOWQ_LINGER": "30",
        "LANG": "C.UTF-8",
    }
    for command, expected in commands():
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == (1 if command in FAILS else 0), (command, done.stdout, done.stderr)
        shown = " ".join(done.stdout.split())
        for line in expected:
            assert " ".join(line.split()) in shown, (command, line, done.stdout, done.stderr)
    assert (tmp_path / "report.svg").read_text(encoding="utf-8").startswith("<svg")
    assert os.listdir(home)
