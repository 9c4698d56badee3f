"""The import contracts of pyproject.toml hold, and detect violations."""

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.repository.makefile import ROOT

LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"

VIOLATIONS = {
    "the store knows a command": ("store/schema/records.py", "import flowq.cli.main"),
    "the compiler knows the store": ("compiler/diagnostics/diagnostic.py", "import flowq.store"),
    "the compiler knows the clock of the server": ("compiler/diagnostics/diagnostic.py", "import redis"),
    "a stage of the compiler knows a later one": ("compiler/signatures/signature.py", "import flowq.compiler.analysis.graph"),
    "a stage of the compiler knows the one beside it": ("compiler/params/types.py", "import flowq.compiler.shell.variables"),
    "the expressions know the plan's user": ("expr/parser.py", "import flowq.compiler"),
    "a read side speaks Redis": ("flows/views/run_view.py", "import redis"),
    "a read side draws": ("flows/views/run_view.py", "import rich.table"),
    "the parent of serve knows the store": ("serve/tree.py", "import flowq.store"),
    "a scheduler sends messages to chats": ("schedules/scheduler.py", "import apprise"),
    "the horse knows the store": ("worker/horse/horse.py", "import flowq.store"),
    "a module without a place": ("utils.py", "import flowq.ids"),
    "a cycle": ("states.py", "import flowq.plan"),
}

# The code of fork servers and horses, and the outside modules that it may import. Each costs every job memory and time, and the
# user's code can reach what a horse can reach: add entries deliberately.
IN_A_HORSE = ("flowq.worker.fork_server", "flowq.worker.horse", "flowq.worker.ipc")
FOR_A_HORSE = {
    "flowq.artifacts.limits",  # these three inside a function: only jobs with `artifacts` or `fetch` load them
    "flowq.artifacts.paths",
    "flowq.artifacts.writing",
    "flowq.defaults",
    "flowq.dotted_names",
    "flowq.exceptions",
    "flowq.globs",
    "flowq.job",  # inside a function: only callbacks get a `Job`
    "flowq.jobs.context",
    "flowq.serializers",
    "flowq.timeouts",
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the package in `folder` against the contract."""
    return subprocess.run(
        [str(LINT_IMPORTS), "--no-logo", "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package that a test may break."""
    shutil.copytree(ROOT / "flowq", tmp_path / "flowq", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_contract_holds(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_detected(violation: str, copy: Path) -> None:
    file, line = VIOLATIONS[violation]
    path = copy / "flowq" / file
    assert path.exists() == (violation != "a module without a place")
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{line}\n", encoding="utf-8")
    result = lint(copy)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


def test_a_horse_imports_its_own_folder_and_the_messages() -> None:
    graph = grimp.build_graph("flowq", cache_dir=None)
    inside = {module for module in graph.modules if module.startswith(IN_A_HORSE)}
    outside = {imported for module in inside for imported in graph.find_modules_directly_imported_by(module)} - inside
    assert outside == FOR_A_HORSE
