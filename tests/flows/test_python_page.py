"""docs/python.md: its files are written, its code is run as one program, and the output is compared with the page."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.flows.flow import Flow
from flowq.flows.run import Run
from tests.examples.running import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# (\S+\.(?:yaml|py))\n")
SAID = re.compile(r"^\s*print\(.*\)  # (.+)$", re.MULTILINE)


@pytest.mark.slow
def test_the_page_is_true(home: Path, tmp_path: Path) -> None:
    program = []
    for _language, text in BLOCKS:
        name = NAMED.match(text)
        if name is not None:
            (tmp_path / name[1]).write_text(text, encoding="utf-8")
        else:
            program.append(text)
    (tmp_path / "page.py").write_text("\n".join(program), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = SAID.findall("\n".join(program))
    assert len(said) > 12
    assert done.stdout.splitlines() == said


@pytest.mark.parametrize("kind", [Flow, Run])
def test_the_page_names_everything(kind: type) -> None:
    public = {name for name in vars(kind) if not name.startswith("_")} - {"id"}
    named = set(re.findall(r"[.`](\w+)", PAGE))
    assert public <= named, public - named
