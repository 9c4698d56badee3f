"""The Makefile lists its targets, and continuous integration runs them."""

import os
import re
import subprocess
from pathlib import Path

from tests.repository.makefile import ROOT, phony_targets, recipe_targets


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_target() -> None:
    listed = set(re.findall(r"^  ([a-z]+) ", make("help").stdout, re.MULTILINE))
    assert listed == phony_targets()


def test_make_alone_is_help() -> None:
    assert make().stdout == make("help").stdout


def test_an_old_python_is_refused(tmp_path: Path) -> None:
    """The message names the version found and how to choose another."""
    old = tmp_path / "python-old"
    pretence = "import sys; sys.version_info = (3, 8, 1); sys.version = '3.8.1 (old)'"
    old.write_text(f'#!/bin/sh\nexec python3 -c "{pretence}\n$2"\n', encoding="utf-8")
    old.chmod(0o700)
    refused = make(f"PYTHON={old}", f"VENV={tmp_path}/env", "contract")
    assert refused.returncode != 0
    assert f"flowq needs Python 3.11 or newer; {old} is 3.8.1. Name another one: make PYTHON=" in refused.stderr
    assert not (tmp_path / "env").exists()


def test_ci_runs_check_and_test() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    text = path.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert recipe_targets(text) == {"check", "test"}
