"""Artifacts and bundles that are too large for the server: they go through the file store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.exceptions import ConfigError, TooLargeError, UsageError
from flowq.flows.actions import shipment
from flowq.flows.actions.garbage_collection import find_garbage
from flowq.flows.actions.submit import submit
from flowq.flows.views.artifacts import artifacts_of, extract, with_artifacts
from flowq.store import Store
from tests.language.lab import Started
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

LARGE = """
jobs:
  a: {run: "seq 100000 > large; echo s > small", artifacts: {x: "{large,small}"}}
  ask: {depends_on: a, approval: go}
  b: {depends_on: ask, fetch: {a.x: got}, run: cmp large got/large}
"""
ENDLESS = """
jobs:
  a:
    timeout: {timeout}
    stop_grace: 30
    run: "truncate -s 900G endless; echo $PPID > horse"
    artifacts: {{x: endless}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWQ_STORE", f"file://{tmp_path}/files")
    monkeypatch.setenv("FLOWQ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "files"


@pytest.fixture
def worker(server: PrivateServer, store: Store, files: Path) -> Iterator[WorkerProcess]:
    assert not files.exists()
    with WorkerProcess(server.url, "default", "-c", "2", namespace=store.namespace) as process:
        yield process


def start(store: Store, project: Path, text: str) -> Started:
    (project / "flow.yaml").write_text(text)
    compiled = compile_file(project / "flow.yaml")
    assert compiled.plan is not None, compiled.diagnostics
    return Started(store, submit(store, compiled.plan, directory=project))


def go_on(run: Started) -> None:
    run.until_job("ask", "deferred/approval")
    run.store.jobs.approve(run.job("ask").id, b"null", by="me")


def blobs(store: Store, files: Path) -> list[Path]:
    return sorted((files / store.session.incarnation / "blobs").glob("[0-9a-f]*"))


@pytest.mark.usefixtures("worker")
def test_large_files_go_through_the_file_store(store: Store, project: Path, files: Path, tmp_path: Path) -> None:
    run = start(store, project, LARGE)
    go_on(run)
    assert run.ended().status == "finished", run.job("b").error
    found = artifacts_of(with_artifacts(store, run.view))
    assert [(item.name, item.manifest.remote, len(item.manifest.files)) for item in found] == [("x", True, 2)]
    assert not list(store.client.scan_iter("*artifact-files*")), "nothing of it is on the server"
    assert len(blobs(store, files)) == 2
    assert sorted(extract(store, found, str(tmp_path / "out"))) == [f"{tmp_path}/out/a/x/{name}" for name in ("large", "small")]
    assert (tmp_path / "out/a/x/large").read_bytes() == (project / "large").read_bytes()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("change", "expected"),
    [("lost", "large: it is missing in the file store"), ("altered", "large: it was altered in the file store")],
)
def test_lost_and_altered_contents(
    store: Store, project: Path, files: Path, monkeypatch: pytest.MonkeyPatch, change: str, expected: str
) -> None:
    run = start(store, project, LARGE)
    run.until_job("ask", "deferred/approval")
    large = max(blobs(store, files), key=lambda path: path.stat().st_size)
    if change == "lost":
        large.unlink()
    else:
        large.write_bytes(b"other")
    go_on(run)
    run.ended()
    assert expected in (run.job("b").error or "")
    assert not (project / "got" / "large").exists()
    monkeypatch.delenv("FLOWQ_STORE")
    with pytest.raises(UsageError, match="it is in a file store: set FLOWQ_STORE as the workers have it"):
        list(extract(store, artifacts_of(with_artifacts(store, run.view)), "out"))


@pytest.mark.usefixtures("worker")
def test_a_store_that_cannot_be_written(store: Store, project: Path, files: Path) -> None:
    files.touch()
    run = start(store, project, "jobs: {a: {run: seq 100000 > large, artifacts: {x: large}}}").ended()
    assert f"the file store {files}/" in (run.job("a").error or "")
    assert "cannot be written: " in (run.job("a").error or "")
    assert not store.artifacts.manifests([run.job("a").id])[0]


@pytest.mark.usefixtures("worker")
def test_a_timeout_counts_while_files_are_kept(store: Store, project: Path) -> None:
    run = start(store, project, ENDLESS.format(timeout=1)).ended()
    job = run.job("a")
    assert (str(job.status), job.reason) == ("failed", "timeout")
    assert job.duration is not None
    assert job.duration < 25, "it does not wait for its grace to pass"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("how", ["killed", "canceled"])
def test_a_job_that_ends_while_its_files_are_kept(store: Store, project: Path, files: Path, how: str) -> None:
    run = start(store, project, ENDLESS.format(timeout=100))
    horse = int(until(lambda: (project / "horse").exists() and (project / "horse").read_text().strip()) or 0)
    opened = f"/proc/{horse}/fd"
    until(lambda: any(_target(f"{opened}/{fd}") == str(project / "endless") for fd in os.listdir(opened)))
    if how == "killed":
        os.kill(horse, signal.SIGKILL)
    else:
        store.runs.cancel(run.id)
    run.ended()
    job = run.job("a")
    assert (str(job.status), job.reason) == (("failed", "killed") if how == "killed" else ("canceled", "run_canceled"))
    assert not store.artifacts.manifests([job.id])[0]
    assert not blobs(store, files)


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""


def test_the_server_cannot_name_a_place_outside_of_the_file_store(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    """Who writes to the server must not have files removed that are none of flowq's."""
    stray = tmp_path / "mine" / "blobs" / ("0" * 64)
    stray.parent.mkdir(parents=True)
    stray.touch()
    os.utime(stray, (1, 1))
    meta, own = store.session.keys("meta"), store.session.incarnation
    store.client.hset(meta, "incarnation", "../mine")
    try:
        with server.user_client() as client:
            other = Store(client, namespace=store.namespace)
            with pytest.raises(ConfigError, match=r"file store cannot be '\.\./mine'"):
                find_garbage(other).remove(other)
    finally:
        store.client.hset(meta, "incarnation", own)
    assert stray.exists()


@pytest.mark.usefixtures("worker")
def test_garbage_is_what_no_run_has_for_a_day(store: Store, project: Path, files: Path) -> None:
    run = start(store, project, LARGE)
    run.until_job("ask", "deferred/approval")
    second = start(store, project, "jobs: {a: {run: seq 90000 > other, artifacts: {x: {path: other, keep: 1d}}}}").ended()
    kept = blobs(store, files)
    assert len(kept) == 3
    stray = files / store.session.incarnation / "blobs" / ("0" * 64)
    stray.write_text("x")
    assert not find_garbage(store).blobs, "it may be of a job that has not ended yet"
    for path in (*kept, stray):
        os.utime(path, (1, 1))
    found = find_garbage(store)
    assert found.blobs == [stray.name]
    os.utime(stray)
    assert found.remove(store).blobs == [], "it is needed again"
    os.utime(stray, (1, 1))
    assert found.remove(store).blobs == [stray.name]
    assert blobs(store, files) == kept
    key = store.session.keys("artifacts", second.job("a").id)
    stored = store.client.hget(key, "x")
    assert isinstance(stored, bytes)
    store.client.hset(key, "x", b"1 " + stored.partition(b" ")[2])  # its time is over
    store.runs.cancel(run.id)
    run.ended()
    assert len(find_garbage(store).remove(store).blobs) == 1
    store.runs.delete(run.id)
    assert len(find_garbage(store).remove(store).blobs) == 2
    assert not blobs(store, files)


@pytest.mark.usefixtures("worker")
def test_a_large_bundle_travels_through_the_file_store(
    store: Store, project: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipment, "MAX_BUNDLE", 100_000)
    data = os.urandom(200_000)
    (project / "data").write_bytes(data)
    text = "code: ship\njobs: {a: {run: 'sha256sum < data; pwd'}}\n"
    run = start(store, project, text).ended()
    assert run.status == "finished", run.job("a").error
    output = b"".join(entry.data for entry in store.runs.logs(run.id)).decode()
    assert str(project) not in output
    (large,) = blobs(store, files)
    os.utime(large, (1, 1))
    assert not find_garbage(store).blobs, "the run has it"
    large.unlink()
    (project / "data").write_bytes(data[1:])
    second = start(store, project, text)
    (other,) = blobs(store, files)
    assert second.ended().status == "finished", "a bundle of other files"
    store.queues.suspend(None)
    (project / "data").write_bytes(data[2:])
    third = start(store, project, text)
    for path in blobs(store, files):
        if path != other:
            path.write_bytes(b"altered")
    store.queues.resume()
    third.ended()
    assert "it was altered in the file store" in (third.job("a").error or "")
    monkeypatch.delenv("FLOWQ_STORE")
    (project / "data").write_bytes(data[3:])
    with pytest.raises(TooLargeError, match=r"bundle\.exclude` or \.flowqignore, or set FLOWQ_STORE to a directory that all"):
        start(store, project, text)
