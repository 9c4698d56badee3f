"""The commands, targets and links in the README and CONTRIBUTING exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.cli.main import COMMANDS
from tests.repository.makefile import ROOT, phony_targets, recipe_targets
from tests.repository.readme import Block, blocks, same

DOCUMENTS = ("README.md", "CONTRIBUTING.md")


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def code_of(document: str) -> str:
    """Return the text of console blocks and between single backticks."""
    text = text_of(document)
    fences = re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)
    words = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return "\n".join([*(body for language, body in fences if language == "console"), *words])


def flowq_calls() -> list[tuple[str, str]]:
    calls = {call for document in DOCUMENTS for call in re.findall(r"\bflowq ([a-z]+)([^\n|]*)", code_of(document))}
    return sorted(calls)


def test_the_two_commands_of_a_checkout_have_a_section() -> None:
    section = re.search(r"^## In a checkout\n\n```console\n(.*?)```", text_of("README.md"), re.DOTALL | re.MULTILINE)
    assert section is not None
    assert [line.split("#")[0].strip() for line in section[1].splitlines()] == ["$ make run", "$ make test"]


def test_picture_installation_and_tutorial_are_on_the_first_screen() -> None:
    first = "\n".join(text_of("README.md").splitlines()[:22])
    places = [
        first.index(part) for part in ("docs/pictures/run-light.svg", "pip install flowq-workflows", "(docs/tutorial.md)")
    ]
    assert places == sorted(places)


def test_the_ten_lines_run(home: Path, tmp_path: Path) -> None:
    block = re.search(r"```yaml\n# report.yaml\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert block is not None
    assert len(block[1].splitlines()) <= 10
    (tmp_path / "report.yaml").write_text(block[1], encoding="utf-8")
    program = str(Path(sys.executable).parent / "flowq")
    environment = {**os.environ, "FLOWQ_HOME": str(home)}
    for call in (("run", "report.yaml"), ("status",), ("why", "publish"), ("graph", "@latest", "--gantt")):
        done = subprocess.run([program, *call], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (call, done.stdout, done.stderr)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_targets_exist(document: str) -> None:
    assert recipe_targets(code_of(document)) <= phony_targets()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_linked_files_exist(document: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", text_of(document))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(("command", "rest"), flowq_calls())
def test_commands_and_options_exist(command: str, rest: str) -> None:
    assert command in COMMANDS
    program = Path(sys.executable).parent / "flowq"
    shown = subprocess.run([str(program), command, "--help"], capture_output=True, text=True, check=True).stdout
    for option in re.findall(r"(?<!\S)--?[a-z][a-z-]*", rest):
        assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", shown), f"`flowq {command}` has no {option}"


def test_the_python_of_the_readme_prints_its_comment(home: Path) -> None:
    found = re.search(r"```python\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert found is not None
    done = subprocess.run([sys.executable, "-c", found[1]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == found[1].rpartition("# ")[2].strip(), done.stderr


def test_blocks_compare_without_ids_times_and_order() -> None:
    block = Block("output", "x", "text", "run k3v9m2qa  took 1.2 s\nbuild  0.31s\n", 0, 0)
    assert same(block, "build  12 ms\nrun abcd2345  took 10 s\n")
    assert not same(block, "build  12 ms\nrun abcd2345  took 10 s\nmore\n")


def test_the_readme_has_its_blocks() -> None:
    kinds = [block.kind for block in blocks(text_of("README.md"))]
    assert kinds[:2] == ["file", "output"]


def test_the_first_flow_of_the_readme_runs(home: Path, tmp_path: Path) -> None:
    found = re.search(r"```yaml\n# report.yaml\n(.*?)```", text_of("README.md"), re.DOTALL)
    assert found is not None
    (tmp_path / "report.yaml").write_text(found[1], encoding="utf-8")
    program = Path(sys.executable).parent / "flowq"
    done = subprocess.run([str(program), "run", "report.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1200 rows in de" in done.stdout
