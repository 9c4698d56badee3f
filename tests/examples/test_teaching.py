"""The small example flows behave as their comments describe."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.cli.process import Process
from tests.examples.running import FLOWS, flowq, jobs_by_name, run_flow


def test_hello_greets_in_the_order_of_the_matrix(home: Path) -> None:
    run = run_flow(FLOWS / "hello.yaml", "-p", "name=penguins")
    assert run["counts"] == {"finished": 4}
    assert "Hello, Bonjour, Habari, penguins!" in flowq("logs", run["id"], "greet").out


def test_hello_is_safe_from_injection(home: Path, tmp_path: Path) -> None:
    hostile = f'"; touch {tmp_path}/oops; echo "$(touch {tmp_path}/oops)'
    run = run_flow(FLOWS / "hello.yaml", "-p", f"name={hostile}")
    assert f"{hostile}!" in flowq("logs", run["id"], "greet").out
    assert not (tmp_path / "oops").exists()


def test_conditions_without_a_release(home: Path) -> None:
    run = run_flow(FLOWS / "conditions.yaml")
    jobs = jobs_by_name(run)
    builds = [name for name in jobs if name.startswith("build[")]
    assert len(builds) == 4
    assert not any("macos" in name and "3.11" in name for name in builds)
    assert (jobs["package"]["status"], jobs["package"]["reason"]) == ("skipped", "if_false")
    assert (jobs["spelling"]["status"], jobs["spelling"]["allowed"]) == ("failed", True)
    assert jobs["apologise"]["status"] == "skipped"
    assert (run["status"], run["warnings"]) == ("finished", 1)
    assert "package was skipped" in flowq("logs", run["id"], "announce").out


def test_conditions_with_a_release(home: Path) -> None:
    run = run_flow(FLOWS / "conditions.yaml", "-p", "release=true")
    packed = flowq("logs", run["id"], "package").out
    assert "packing app-linux-3.11.zip app-linux-3.12.zip app-macos-3.12.zip app-linux-3.13.zip" in packed
    assert "package was finished" in flowq("logs", run["id"], "announce").out


def test_retries_until_success(home: Path) -> None:
    run = run_flow(FLOWS / "retries.yaml")
    jobs = jobs_by_name(run)
    assert (jobs["upload"]["attempts"], jobs["verify"]["attempts"]) == (3, 1)
    assert "looking at https://example.org/report" in flowq("logs", run["id"], "verify").out


def test_retries_broken_fails_and_only_that_job_would_run_again(home: Path) -> None:
    ended = flowq("run", str(FLOWS / "retries.yaml"), "-p", "broken=true", "--json")
    assert ended.code == 1
    run = ended.run()
    assert run["counts"] == {"finished": 2, "failed": 1}
    dry = flowq("retry", run["id"], "--failed", "--dry-run")
    assert dry.code == 0
    assert "publish" in dry.out
    assert "upload" not in dry.out


def test_signed_without_its_key_does_not_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGNING_KEY", raising=False)
    ended = flowq("run", str(FLOWS / "signed.yaml"))
    assert ended.code == 2
    assert "secret SIGNING_KEY: the variable SIGNING_KEY is not set" in ended.err


def test_signed_never_shows_its_key(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_KEY", "correct-horse-battery")
    run = run_flow(FLOWS / "signed.yaml", "-p", "careless=true")
    assert run["counts"] == {"finished": 5}
    logs = flowq("logs", run["id"]).out
    assert "pack | the key is not here" in logs
    assert "the key is ***, *** in base64" in logs
    assert "the job's result had the secret SIGNING_KEY in it" in logs
    assert '"key": "***"' in flowq("result", run["id"], "careless").out
    assert "horse" not in logs


def test_backup_keeps_the_newest_archives(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept"
    run, *_ = [run_flow(FLOWS / "backup.yaml", "-p", f"target={target}", "-p", "keep=2") for _ in range(3)][::-1]
    assert len(list(target.glob("backup-*.tar.gz"))) == 2
    assert run["id"] in " ".join(path.name for path in target.iterdir())
    assert "removing" in flowq("logs", run["id"], "rotate").out


def test_backup_of_nothing_fails_and_leaves_no_part(home: Path, tmp_path: Path) -> None:
    ended = flowq("run", str(FLOWS / "backup.yaml"), "-p", f"target={tmp_path / 'kept'}", "-p", "source=no-such", "--json")
    assert ended.code == 1
    assert list((tmp_path / "kept").iterdir()) == []


def test_sweep_chooses_the_best_of_those_that_converge(home: Path) -> None:
    run = run_flow(FLOWS / "sweep.yaml")
    assert (run["counts"], run["warnings"]) == ({"finished": 9, "failed": 2}, 2)
    assert "best rate 0.3 with 400 steps" in flowq("logs", run["id"], "report").out


def test_growing_works_on_files(home: Path) -> None:
    run = run_flow(FLOWS / "growing.yaml")
    found = len(list(FLOWS.glob("*.yaml")))
    assert len(json.loads(flowq("result", run["id"], "find").out)["files"]) == found > 5
    assert f"find | {found} files" in flowq("logs", run["id"]).out
    assert json.loads(flowq("result", run["id"], "longest").out)["words"] > 100


def test_checks_run_alone(home: Path) -> None:
    run = run_flow(FLOWS / "checks.yaml", "-p", "version=1.0", "-p", "strict=true")
    assert run["counts"] == {"finished": 2}


def test_release_says_what_to_do_while_it_waits(home: Path, tmp_path: Path) -> None:
    run = Process("run", str(FLOWS / "release.yaml"), "-p", "version=1.2", cwd=tmp_path)
    try:
        run.expect("approval: Publish 1.2 (1.2: 3 words)?")
        run.expect("consent  # in another terminal")
        assert flowq("approve", "consent", cwd=tmp_path).code == 0
        assert run.wait() == 0
    finally:
        run.end()
    assert "uploading app-1.2-linux.wheel" in run.out


def test_build_takes_the_archive_of_the_run_before(home: Path, tmp_path: Path) -> None:
    first = run_flow(FLOWS / "build.yaml", cwd=tmp_path)
    again = run_flow(FLOWS / "build.yaml", cwd=tmp_path)
    other = run_flow(FLOWS / "build.yaml", "-p", "level=2", cwd=tmp_path)
    assert [jobs_by_name(run)["package"]["reason"] for run in (first, again, other)] == [None, "cached", None]
    assert (tmp_path / "scratch" / "study.pyz").exists()


def test_the_list_of_examples_is_complete() -> None:
    page = (FLOWS.parent / "README.md").read_text(encoding="utf-8")
    folders = [path.name for path in FLOWS.iterdir() if list(path.glob("*.yaml"))]
    assert [path.name for path in FLOWS.iterdir() if path.suffix == ".yaml" and f"(flows/{path.name})" not in page] == []
    assert [name for name in folders if f"(flows/{name}" not in page] == []


@pytest.mark.parametrize("path", sorted(FLOWS.glob("*.yaml")), ids=lambda path: path.name)
def test_a_test_executes_each_example(path: Path) -> None:
    tests = [*Path(__file__).parent.glob("test_*.py"), *(Path(__file__).parents[1] / "language").glob("test_*.py")]
    assert any(f'"{path.name}"' in file.read_text(encoding="utf-8") for file in tests)


def test_a_book_is_made_of_the_pages_of_other_jobs(home: Path, tmp_path: Path) -> None:
    here = partial(flowq, cwd=tmp_path)
    run = run_flow(FLOWS / "artifacts.yaml", "-p", "title=Seals", cwd=tmp_path)
    assert run["counts"] == {"finished": 5}
    listed = json.loads(here("artifacts", "list", run["id"], "--json").out)
    assert [item["name"] for item in listed if item["job"] == "book"] == ["book"]
    assert here("result", run["id"], "book").out.split() == ["{", '"pages":', '"3"', "}"]
    got = here("artifacts", "get", run["id"], "book", "--to", "downloads").out.strip()
    assert (tmp_path / got).read_text().splitlines() == ["# Seals", "## About enemies", "## About food", "## About habitat"]
    assert len(here("artifacts", "get", run["id"], "chapter", "--name", "log").out.splitlines()) == 3
