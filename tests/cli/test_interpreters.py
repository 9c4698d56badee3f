"""`python`: calls in another interpreter, in which flowq is not installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import process

MODULE = """
import os, sys

def who():
    print("speaking")
    return {"prefix": sys.prefix, "version": list(sys.version_info[:2])}

def only():
    import only_there
    return only_there.VALUE

def lost():
    import quite_unheard_of

def flowq():
    import flowq
    return flowq.__name__
"""
FLOW = """
python: venv
jobs:
  who: {call: steps:who}
  only: {call: steps:only}
  direct: {call: "only_there:double", args: [4]}
  shell: {run: "python3 -c 'import only_there' 2>/dev/null || echo value=none >> $FLOWQ_OUTPUT"}
"""


def interpreter(*minors: int) -> str:
    """Return an interpreter of one of these versions of Python 3, or skip the test."""
    found = [shutil.which(f"python3.{minor}") for minor in minors]
    found += [str(path) for minor in minors for path in Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python")]
    working = [
        path for path in found if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0
    ]
    if not working:
        pytest.skip(f"no Python 3.{' or 3.'.join(map(str, minors))} here")
    return working[0]


def environment(folder: Path, python: str = sys.executable) -> None:
    """Make an environment with a module that is nowhere else."""
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3.*/site-packages")
    (packages / "only_there.py").write_text("VALUE = 7\ndef double(n: int) -> int:\n    return 2 * n\n")


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert home.is_dir()
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "steps.py").write_text(MODULE)
    return tmp_path


def flowq(project: Path, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    done = process.flowq(*arguments, cwd=project)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def result(project: Path, job: str) -> object:
    return json.loads(flowq(project, "result", job).stdout)


def test_calls_are_executed_by_the_interpreter_of_the_flow(project: Path) -> None:
    environment(project / "venv")
    assert flowq(project, "validate").stdout == "flow.yaml: valid, 4 jobs\n"
    done = flowq(project, "run")
    assert "who | speaking" in done.stdout
    assert result(project, "who") == {"prefix": str(project / "venv"), "version": list(sys.version_info[:2])}
    assert result(project, "only") == 7
    assert result(project, "direct") == 8
    assert result(project, "shell") == {"value": "none"}


@pytest.mark.parametrize("minor", [12, 13, 14])
def test_another_version_of_python(project: Path, minor: int) -> None:
    environment(project / "venv", interpreter(minor))
    flowq(project, "run", "--job", "who", "--job", "only")
    assert result(project, "who") == {"prefix": str(project / "venv"), "version": [3, minor]}
    text = 'python: venv/bin/python\njobs: {a: {call: "steps:flowq", cache: {inputs: [steps.py]}}}\n'
    (project / "flow.yaml").write_text(text)
    flowq(project, "run")
    assert result(project, "a") == "flowq"
    assert "cached" in flowq(project, "run").stdout


def test_an_interpreter_that_is_too_old(project: Path) -> None:
    python = interpreter(10, 9, 8, 7)
    (project / "flow.yaml").write_text("python: old\njobs: {who: {call: steps:who}}\n")
    (project / "old").symlink_to(python)
    assert "FQ608" in flowq(project, "run", code=3).stderr
    (project / "old").unlink()
    (project / "old").write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')  # its version cannot be told from its files
    (project / "old").chmod(0o755)
    done = flowq(project, "run", code=1)
    assert f"{project / 'old'} is older than Python 3.11, and jobs with `call` need 3.11 or newer" in done.stdout


def test_what_is_no_interpreter(project: Path) -> None:
    (project / "flow.yaml").write_text("python: venv\njobs: {who: {call: steps:who, retry: 2}}\n")
    done = flowq(project, "run", code=1)
    assert "flow.yaml: 1 warning (FQ607)" in done.stderr
    assert f"`python` names {project / 'venv'}, and this machine has no interpreter there" in done.stdout
    (project / "venv").symlink_to("/bin/true")
    done = flowq(project, "run", code=1)
    assert "venv, which `python` names, is no Python, or one that does not start (exit code 0)" in done.stdout


@pytest.mark.parametrize("code", ["", "code: ship\n"])
@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            f'#!{shutil.which("bash")}\nexec bash "$@"\n',
            "is no Python, or one that does not start (exit code 2): ",
        ),
        ("", "is no Python: it cannot be executed (Exec format error)"),
        ("#!/no/such/loader\n", "is no Python: it cannot be executed (No such file or directory)"),
        (
            "#!/bin/sh\necho 'Fatal Python error: init_fs_encoding: no codec' >&2\nexit 1\n",
            "is no Python, or one that does not start (exit code 1): Fatal Python error: init_fs_encoding: no codec",
        ),
    ],
    ids=["bash", "no format", "no loader", "broken"],
)
def test_a_program_that_is_no_interpreter(project: Path, script: str, said: str, code: str) -> None:
    """Also one that the system cannot execute, and where the files of the flow travel; what flowq gave it to execute is not shown."""
    (project / "other").write_text(script)
    (project / "other").chmod(0o755)
    (project / "flow.yaml").write_text(f"{code}python: {project / 'other'}\njobs: {{who: {{call: steps:who, retry: 2}}}}\n")
    done = flowq(project, "run", "--output", "quiet", code=1)
    assert said in " ".join(done.stdout.split())
    assert "sys." not in done.stdout + done.stderr
    assert ("syntax error near" in done.stdout) is ("bash" in script)


def test_an_interpreter_that_cannot_go_on(project: Path) -> None:
    """What it says before it has shown that it is one is part of the error; later it goes where the worker's messages go."""
    environment(project / "venv")
    (project / "flow.yaml").write_text("python: venv\njobs: {who: {call: steps:who}}\n")
    (packages,) = (project / "venv").glob("lib/python3.*/site-packages")
    (packages / "first.pth").write_text("import os; os.set_inheritable = None\n")
    early = flowq(project, "run", "--output", "quiet", code=1)
    assert "one that does not start (exit code 1): TypeError: 'NoneType' object is not callable" in early.stdout
    (packages / "first.pth").write_text("import os; os.fork = lambda: os._exit(os.write(2, b'late\\n'))\n")
    late = flowq(project, "run", "--output", "quiet", code=1)
    assert "could not start flowq's process for jobs (exit code 5)" in late.stdout
    assert late.stderr == "late\n"


@pytest.mark.parametrize("where", ["flowq.toml", "pyproject.toml", "FLOWQ_PYTHON", "the home directory"])
def test_the_interpreter_of_the_settings(project: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    environment(project / "venv")
    text = FLOW.replace("python: venv", "python: ~/venv" if where == "the home directory" else "")
    (project / "below").mkdir()
    (project / "below" / "flow.yaml").write_text(text)
    shutil.copy(project / "steps.py", project / "below")
    if where.endswith(".toml"):
        (project / where).write_text(("[tool.flowq]\n" if where == "pyproject.toml" else "") + 'python = "venv"\n')
    if where == "FLOWQ_PYTHON":
        monkeypatch.setenv(where, str(project / "venv"))
    if where == "the home directory":
        monkeypatch.setenv("HOME", str(project))
    flowq(project / "below", "run", "--job", "only")
    assert result(project / "below", "only") == 7


def test_an_import_error_says_who_looked_where(project: Path) -> None:
    environment(project / "venv")
    (project / "flow.yaml").write_text("python: venv\njobs: {lost: {call: steps:lost}}\n")
    done = flowq(project, "run", code=1)
    assert "lost failed: ModuleNotFoundError: No module named 'quite_unheard_of'" in done.stdout
    python, packages = project / "venv" / "bin" / "python", next((project / "venv").glob("lib/python3.*/site-packages"))
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"{python} (Python {version}) looked in {project}, {packages}\n" in flowq(project, "logs", "lost").stdout
    (project / "flow.yaml").write_text("jobs: {lost: {call: steps:lost}, gone: {call: quite_unheard_of:x}}\n")
    done = flowq(project, "run", code=1)
    assert done.stdout.count("; `python: .venv` in the flow names another interpreter\n") == 4
    assert f"{sys.executable} (Python {version}) looked in {project}, " in flowq(project, "logs", "gone").stdout


def test_an_environment_that_the_run_makes(project: Path) -> None:
    text = """
python: made
jobs:
  make: {run: ["PYTHON", "-m", "venv", "--without-pip", "made"]}
  who: {call: steps:who, depends_on: make}
"""
    (project / "flow.yaml").write_text(text.replace("PYTHON", sys.executable))
    assert "FQ607" in flowq(project, "validate").stdout
    flowq(project, "run")
    assert result(project, "who") == {"prefix": str(project / "made"), "version": list(sys.version_info[:2])}
