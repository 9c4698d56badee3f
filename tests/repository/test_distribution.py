"""The name of the distribution: `flowq` on the package index is another project's."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flowq import __version__, distribution
from tests.repository.makefile import ROOT
from tests.repository.test_forbidden_text import texts

# `pip install flowq`, `uv tool install flowq`, `pipx run flowq`, `flowq[extra]`, and the name as a requirement (`flowq==0.1`)
STRANGER = r"(?:pip|pipx|uv|uvx)\b[^\n|;&`]*\s[\"']?flowq(?![\w/.-])(?=$|[\s\"'`=<>\[.,;)])|(?<![\w-])flowq\[(?=[a-z])|(?<![\w-])flowq(?:==|>=|~=)\d"
EXCEPT = {Path("flowq/distribution.py"), Path("tests/repository/test_distribution.py")}


def test_every_page_names_the_distribution() -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]}"
        for path, text in texts()
        if path not in EXCEPT
        for match in re.finditer(STRANGER, text)
        if "uninstall" not in match[0]
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "- run: pip install flowq",
        "pip install -U 'flowq[serve]'",
        "uv tool install flowq",
        "pipx run flowq",
        '"flowq==0.1"',
        "`pip install flowq`.",
    ],
)
def test_the_pattern_matches_its_examples(text: str) -> None:
    assert re.search(STRANGER, text)


@pytest.mark.parametrize(
    "text", ["pip install flowq-workflows", "pip install flowq-workflows[serve]", "pip install rq; flowq run"]
)
def test_the_pattern_matches_nothing_else(text: str) -> None:
    assert not re.search(STRANGER, text)


def test_the_project_has_that_name_and_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (project["name"], project["version"]) == (distribution.NAME, __version__)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages that has this one and the metadata of another distribution with its import name."""
    (tmp_path / "flowq").symlink_to(ROOT / "flowq")
    (tmp_path / "flowq_workflows-0.1.0.dist-info").mkdir()
    (tmp_path / "flowq-3.2.1.dist-info").mkdir()
    return tmp_path


def execute(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=site, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_command_tells_of_a_foreign_distribution(site: Path) -> None:
    done = execute(site, "-m", "flowq", "version")
    assert done.returncode == 0
    assert done.stderr == f"warning: {distribution.describe('3.2.1')}: {distribution.REMEDY}\n"
    assert distribution.NAME in done.stderr


def test_an_import_tells_of_it_once(site: Path) -> None:
    done = execute(site, "-c", "import flowq\nflowq.Retry\nflowq.Repeat")
    assert done.stderr.count("UserWarning: the distribution flowq 3.2.1") == 1


def test_alone_nothing_is_told(site: Path) -> None:
    (site / "flowq-3.2.1.dist-info").rmdir()
    assert execute(site, "-m", "flowq", "version").stderr == ""
    assert execute(site, "-c", "import flowq\nflowq.Retry").stderr == ""
