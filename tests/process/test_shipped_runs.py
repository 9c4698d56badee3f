"""Runs whose files travel: their jobs are executed where the directory of the flow is not."""

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.bundles import cache as bundle_cache
from flowq.bundles.archive import pack
from flowq.bundles.cache import BundleCache
from flowq.bundles.listing import Rules, list_files
from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.flows.views.snapshot import read_view
from flowq.states import RunStatus
from flowq.store import Store
from tests.support.nesting import nested
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

FLOW = """
code: ship
jobs:
  write: {run: "cat data/in.txt; pwd > where.txt; ls -l /proc/$$/fd | grep -c '\\\\.lock' || true"}
  call: {call: "helper:where", depends_on: write}
  argv: {run: [cat, where.txt], depends_on: call}
  part: {flow: parts/part.yaml, depends_on: argv}
"""
PART = "jobs: {own: {run: './own.sh', workdir: flow}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for path, text in {
        "flow.yaml": FLOW,
        "data/in.txt": "travelled\n",
        "helper.py": "import os\ndef where():\n    return [os.getcwd(), __file__]\n",
        "parts/part.yaml": PART,
        "parts/own.sh": "#!/bin/sh\necho own; pwd\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "parts/own.sh").chmod(0o755)
    return root


@pytest.fixture
def place(tmp_path: Path) -> BundleCache:
    return BundleCache(str(tmp_path / "cache"))


@pytest.fixture
def _worker(server: PrivateServer, store: Store, tmp_path: Path) -> Iterator[None]:
    with WorkerProcess(server.url, "default", namespace=store.namespace, env={"FLOWQ_CACHE": str(tmp_path / "cache")}):
        yield


def send(store: Store, project: Path, *, text: str | None = None) -> str:
    if text is not None:
        (project / "flow.yaml").write_text(text)
    compiled = compile_file(project / "flow.yaml")
    assert compiled.plan is not None, compiled.diagnostics
    return submit(store, compiled.plan, directory=project)


def ended(store: Store, run: str) -> RunStatus:
    until(lambda: store.runs.require(run).ended, timeout=20, message="the run to end")
    return store.runs.require(run).status


def output(store: Store, run: str) -> str:
    return b"".join(entry.data for entry in store.runs.logs(run)).decode()


def error(store: Store, run: str) -> str:
    return next(job.error or "" for job in read_view(store, run).jobs if job.error)


@pytest.mark.usefixtures("_worker")
def test_jobs_find_their_files_without_the_directory(store: Store, project: Path, place: BundleCache) -> None:
    run = send(store, project)
    shutil.rmtree(project)
    assert ended(store, run) is RunStatus.FINISHED, error(store, run)
    home = place.directory(run, store.runs.require(run).bundle)
    assert output(store, run).split("\n") == ["travelled", "0", home, "own", f"{home}/parts", ""]
    result = store.jobs.result(f"{run}-1")
    assert result is not None
    assert f"{home}/helper.py" in str(result.value)


@pytest.mark.usefixtures("_worker")
def test_each_run_has_its_own_files(store: Store, project: Path) -> None:
    text = "code: ship\njobs: {a: {run: 'cat data/in.txt; echo changed > data/in.txt'}}\n"
    runs = [send(store, project, text=text) for _ in range(3)]
    assert {ended(store, run) for run in runs} == {RunStatus.FINISHED}
    assert [output(store, run) for run in runs] == ["travelled\n"] * 3


@pytest.mark.usefixtures("_worker")
def test_an_altered_bundle_is_refused(store: Store, project: Path, place: BundleCache) -> None:
    run = send(store, project)
    name = store.runs.require(run).bundle
    (project / "helper.py").write_text("def where(): return 'evil'")
    other = pack(str(project), list_files(str(project), Rules()))
    store.client.set(store.session.keys("bundle", name), other)
    store.queues.resume()
    second = send(store, project, text=FLOW + "name: other\n")
    store.client.set(store.session.keys("bundle", store.runs.require(second).bundle), other)
    for each in (run, second):
        assert ended(store, each) in {RunStatus.FAILED, RunStatus.FINISHED}
    assert not os.path.exists(place.directory(second, store.runs.require(second).bundle))
    assert "another content" in error(store, second)


@pytest.mark.usefixtures("_worker")
def test_a_bundle_that_is_gone(store: Store, project: Path) -> None:
    store.queues.suspend(None)
    run = send(store, project)
    store.client.delete(store.session.keys("bundle", store.runs.require(run).bundle))
    store.queues.resume()
    assert ended(store, run) is RunStatus.FAILED
    assert f"the files that travel with run {run} are not in the store any more" in error(store, run)


@pytest.mark.usefixtures("_worker")
def test_a_missing_package_is_named(store: Store, project: Path) -> None:
    (project / "req.txt").write_text("# comment\npytest\nflowq-no-such-package>=1  # why\n")
    run = send(store, project, text=FLOW + "bundle: {requires: req.txt}\n")
    assert ended(store, run) is RunStatus.FAILED
    assert "lacks flowq-no-such-package, which req.txt of the bundle requires" in error(store, run)


def test_files_stay_while_a_process_has_them(place: BundleCache, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_cache, "_UNUSED", 0.0)
    files = list_files(str(project), Rules())
    name = bundle_cache_add(place, project)
    used = place.prepare("used", name)
    os.close(place.prepare("unused", name))
    os.utime(place.directory("unused", name) + ".lock", (1, 1))
    os.utime(place.directory("used", name) + ".lock", (1, 1))
    os.close(place.prepare("other", name))
    assert os.path.isdir(place.directory("used", name))
    assert os.path.isdir(place.directory("other", name))
    assert not os.path.exists(place.directory("unused", name))
    os.close(used)
    assert list_files(place.directory("other", name), Rules()) == files


def test_what_cannot_be_removed_stops_no_run(place: BundleCache, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_cache, "_UNUSED", 0.0)
    name = bundle_cache_add(place, project)
    os.close(place.prepare("unused", name))
    os.utime(place.directory("unused", name) + ".lock", (1, 1))
    with nested(Path(place.directory("unused", name)) / "far"):
        os.close(place.prepare("other", name))
    assert os.path.isdir(place.directory("other", name))


def test_a_directory_that_others_can_write_to_is_refused(place: BundleCache, project: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(Exception, match="other users can write there"):
        bundle_cache_add(place, project)


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o000, 0o077])
def test_a_directory_that_is_made_is_one_that_only_its_user_enters(place: BundleCache, project: Path, mask: int) -> None:
    """Also with the mask of systems on which each user has a group of their own."""
    before = os.umask(mask)
    try:
        os.close(place.prepare("run", bundle_cache_add(place, project)))
    finally:
        os.umask(before)
    modes = {folder: stat.S_IMODE(os.stat(os.path.join(place.root, folder)).st_mode) for folder in ("", "runs", "archives")}
    assert set(modes.values()) == {0o700}, modes


def bundle_cache_add(place: BundleCache, project: Path) -> str:
    from flowq.bundles.listing import hash_of

    files = list_files(str(project), Rules())
    place.add(hash_of(files), pack(str(project), files))
    return hash_of(files)
