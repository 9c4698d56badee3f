"""The commit that a run was started with, and whether files differed from it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from flowq.flows.actions import revision
from flowq.flows.actions.revision import Revision, revision_of
from tests.examples.running import flowq

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git on PATH")


@pytest.fixture(autouse=True)
def asked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "_KNOWN_FOR", 0.0)


def git(place: Path, *arguments: str) -> str:
    options = ("-c", "user.name=tester", "-c", "user.email=tester@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", *options, *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "flows").mkdir(parents=True)
    (root / "flows" / "a.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    (root / "module.py").write_text("")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def found(repository: Path, file: str = "flows/a.yaml") -> Revision | None:
    return revision_of(str(repository / file), str(repository))


def test_the_commit_and_changes_of_known_files(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert found(repository) == Revision(head, dirty=False)
    (repository / "out.csv").write_text("written by a job")
    assert found(repository) == Revision(head, dirty=False)
    (repository / "module.py").write_text("changed = True\n")
    assert found(repository) == Revision(head, dirty=True)


def test_a_flow_that_is_not_committed(repository: Path) -> None:
    (repository / "flows" / "new.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    told = found(repository, "flows/new.yaml")
    assert told is not None
    assert told.dirty


def test_where_there_is_none(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert revision_of(str(tmp_path / "a.yaml"), str(tmp_path)) is None
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    assert revision_of(str(empty / "a.yaml"), str(empty)) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert found(repository) is None


def test_the_variables_of_a_hook_do_not_matter(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert found(repository) == Revision(head, dirty=False)


def test_no_program_of_the_repository_is_executed(repository: Path) -> None:
    git(repository, "config", "core.fsmonitor", f"touch {repository}/executed")
    assert found(repository) is not None
    assert not (repository / "executed").exists()


def test_each_run_tells_it(home: Path, repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    assert flowq("run", "flows/a.yaml", "--output", "quiet", cwd=repository).code == 0
    document = json.loads(flowq("status", "--json", cwd=repository).out)
    assert (document["commit"], document["dirty"]) == (head, False)
    (row,) = json.loads(flowq("runs", "--json", cwd=repository).out)
    assert (row["commit"], row["dirty"]) == (head, False)
    assert home.is_dir()
