"""The tutorial: its file is written, its commands are run, and their output is compared with the page."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.pages import commands_of
from tests.support.shells import flowq_on_path

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")
FAILS = ("flowq run --workers 2",)  # according to the page


def test_the_page_has_commands() -> None:
    assert len(commands_of(PAGE)) > 15


@pytest.fixture
def new_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create an environment with the wheel and return its `bin` folder.

    The dependencies come from the package index, as for users; without an index, from the environment of the tests.
    """
    folder = tmp_path_factory.mktemp("new") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "--disable-pip-version-check", "--quiet"]
    install = [*pip, "install", "--no-compile", "--retries", "0", "--timeout", "10"]  # what is imported is compiled then
    done = subprocess.run([*install, str(wheel)], capture_output=True, check=False)
    if done.returncode:
        subprocess.run([*pip, "install", "--no-index", "--no-deps", str(wheel)], check=True)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_command_has_the_output_of_the_page(new_environment: Path, home: Path, tmp_path: Path) -> None:
    files = re.findall(r"^```(?:yaml|python)\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, text in files:
        (tmp_path / name).write_text(f"# {name}\n{text}", encoding="utf-8")
    reader = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "FLOWQ_HOME": str(home), "FLOWQ_LINGER": "30", "LANG": "C.UTF-8"}
    with flowq_on_path(reader, new_environment) as environment:

        def typed(command: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
            )

        where = typed("python -c 'import flowq; print(flowq.__file__)'").stdout
        assert Path(where).is_relative_to(new_environment.parent)  # not this checkout
        assert typed(f"{new_environment}/flowq version").stdout == typed("flowq version").stdout != ""
        for command, expected in commands_of(PAGE):
            done = typed(command)
            assert done.returncode == (1 if command in FAILS else 0), (command, done.stdout, done.stderr)
            shown = " ".join(done.stdout.split())
            for line in expected:
                assert " ".join(line.split()) in shown, (command, line, done.stdout, done.stderr)
    assert (tmp_path / "report.svg").read_text(encoding="utf-8").startswith("<svg")
    assert os.listdir(home)
