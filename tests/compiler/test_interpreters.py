"""The packages of the interpreter that a flow names, from the files of its environment alone."""

from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.compiler.signatures import read_installed

SYSTEM = "home = /usr/bin\ninclude-system-site-packages = {}\nversion = 3.13.0\n"


def environment(folder: Path, settings: str = SYSTEM.format("false"), version: str = "3.13") -> Path:
    """Make the files of an environment; its interpreter is never executed. Return the folder of its packages."""
    packages = folder / "lib" / f"python{version}" / "site-packages"
    packages.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").write_text("no program")
    (folder / "pyvenv.cfg").write_text(settings)
    return packages


@pytest.mark.parametrize("named", ["venv", "venv/bin/python"])
def test_the_packages_of_an_environment(tmp_path: Path, named: str) -> None:
    packages = environment(tmp_path / "venv")
    found = read_installed(str(tmp_path / named))
    assert found.exists
    assert found.complete
    assert found.version == (3, 13)
    assert found.folders == (str(packages),)


def test_environments_of_uv_name_their_version_otherwise(tmp_path: Path) -> None:
    environment(tmp_path / "venv", "home = /x\nimplementation = CPython\nversion_info = 3.12.1\n", "3.12")
    assert read_installed(str(tmp_path / "venv")).version == (3, 12)


def test_pth_files_add_folders(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv")
    (tmp_path / "project").mkdir()
    text = f"# a comment\n{tmp_path / 'project'}\nnot-there\nimport os; x = 'SETUPTOOLS_USE_DISTUTILS'\n"
    (packages / "some.pth").write_text(text)
    found = read_installed(str(tmp_path / "venv"))
    assert found.folders == (str(packages), str(tmp_path / "project"))
    assert found.complete


@pytest.mark.parametrize("reason", ["a hook", "system packages", "no environment"])
def test_an_answer_that_is_not_complete(tmp_path: Path, reason: str) -> None:
    packages = environment(tmp_path / "venv", SYSTEM.format("true") if reason == "system packages" else SYSTEM.format("false"))
    if reason == "a hook":
        (packages / "editable.pth").write_text("import __editable___x_finder; __editable___x_finder.install()\n")
    if reason == "no environment":
        (tmp_path / "venv" / "pyvenv.cfg").unlink()
    found = read_installed(str(tmp_path / "venv"))
    assert found.exists
    assert not found.complete


def test_the_version_of_an_interpreter_is_in_its_name(tmp_path: Path) -> None:
    packages = tmp_path / "usr" / "lib" / "python3.12" / "dist-packages"
    packages.mkdir(parents=True)
    (tmp_path / "usr" / "bin").mkdir()
    (tmp_path / "usr" / "bin" / "python3.12").write_text("")
    (tmp_path / "usr" / "bin" / "python3").symlink_to("python3.12")
    found = read_installed(str(tmp_path / "usr" / "bin" / "python3"))
    assert (found.version, found.folders, found.complete) == ((3, 12), (str(packages),), False)


@pytest.mark.parametrize("named", ["nowhere", "", "~no-such-user/venv", "file/below", "null\0byte"])
def test_no_interpreter(tmp_path: Path, named: str) -> None:
    (tmp_path / "file").write_text("")
    assert not read_installed(named if named.startswith("~") else f"{tmp_path}/{named}").exists


FLOW = """
python: venv
jobs:
  here: {call: "there:go", args: [1]}
  inside: {call: "there.compiled:go"}
  standard: {call: "json:dumps", args: [1]}
  beside: {call: "own:go"}
"""


def test_calls_are_checked_against_these_packages(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv")
    (packages / "there").mkdir()
    (packages / "there" / "__init__.py").write_text("def go(n: int) -> int: ...\n")
    (packages / "there" / "compiled.cpython-313-x86_64-linux-gnu.so").write_text("")
    (tmp_path / "own.py").write_text("def go(): ...\n")
    (tmp_path / "flow.yaml").write_text(FLOW)
    assert compile_file(tmp_path / "flow.yaml").diagnostics == ()
    (tmp_path / "flow.yaml").write_text(FLOW.replace("args: [1]}\n  inside", "args: [text]}\n  inside"))
    assert [item.code for item in compile_file(tmp_path / "flow.yaml").diagnostics] == ["FQ605"]


def test_what_this_interpreter_has_is_not_there(tmp_path: Path) -> None:
    """The compiler's own packages are not those of the jobs."""
    packages = environment(tmp_path / "venv")
    (tmp_path / "flow.yaml").write_text("python: venv\njobs: {a: {call: 'yaml:dump', args: [1]}}\n")
    (found,) = compile_file(tmp_path / "flow.yaml").diagnostics
    assert found.code == "FQ601"
    assert f"among what {tmp_path / 'venv'} has installed" in found.help
    (packages / "hook.pth").write_text("import hook\n")
    assert compile_file(tmp_path / "flow.yaml").diagnostics == ()


def test_only_the_interpreter_of_the_flow_that_is_run_counts(tmp_path: Path) -> None:
    packages = environment(tmp_path / "venv")
    (packages / "there.py").write_text("def go(): ...\n")
    (tmp_path / "part.yaml").write_text("python: elsewhere\njobs: {a: {call: 'there:go'}}\n")
    (tmp_path / "flow.yaml").write_text("python: venv\njobs: {part: {flow: part.yaml}}\n")
    result = compile_file(tmp_path / "flow.yaml")
    assert [item.code for item in result.diagnostics] == ["FQ313"]
    assert result.plan is not None
    assert result.plan.python == str(tmp_path / "venv")


def test_the_interpreter_is_stored_only_for_calls(tmp_path: Path) -> None:
    (tmp_path / "flowq.toml").write_text('python = ".venv"\n')
    for text, python, version in (
        ("jobs: {a: {run: 'true'}}\n", "", 2),
        ("python: ~/x\njobs: {a: {call: 'json:loads', args: ['1']}}\n", "~/x", 3),
        ("jobs: {a: {call: 'json:loads', args: ['1']}}\n", str(tmp_path / ".venv"), 3),
    ):
        (tmp_path / "flow.yaml").write_text(text)
        plan = compile_file(tmp_path / "flow.yaml").plan
        assert plan is not None
        assert plan.python == python
        assert f'"version":{version}' in plan.to_json()
        assert type(plan).from_json(plan.to_json()).python == python
