"""The files that travel with a run: what is stored of them at submission, and how long."""

from pathlib import Path

import pytest

from flowq.bundles.archive import unpack
from flowq.compiler import compile_file
from flowq.defaults import MAX_BUNDLE
from flowq.exceptions import InvalidRunOperation, TooLargeError, UsageError
from flowq.flows.actions import shipment
from flowq.flows.actions.shipment import with_shipment
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.states import RunStatus
from flowq.store import Store

FLOW = "code: ship\njobs: {a: {run: 'true'}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "flows").mkdir(parents=True)
    (root / "flowq.toml").touch()
    (root / "code.py").write_text("x = 1")
    (root / "flows/flow.yaml").write_text(FLOW)
    (root / "flows/helper.sh").write_text("true")
    return root


def plan_of(project: Path, text: str = FLOW) -> Plan:
    file = project / "flows/flow.yaml"
    file.write_text(text)
    compiled = compile_file(file)
    assert compiled.plan is not None, compiled.diagnostics
    return compiled.plan


def ship(store: Store, project: Path, text: str = FLOW, run_id: str | None = None) -> str:
    return submit(store, plan_of(project, text), directory=project, run_id=run_id)


def there(store: Store, run: str, directory: Path) -> list[str]:
    record = store.runs.require(run)
    archive = store.bundles.get(record.bundle)
    assert archive is not None
    unpack(archive, str(directory), record.bundle)
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_the_directory_of_the_flow_travels(store: Store, project: Path, tmp_path: Path) -> None:
    run = ship(store, project)
    assert there(store, run, tmp_path / "there") == ["flow.yaml", "helper.sh"]
    assert store.runs.require(run).bundle_root == str(project / "flows")


def test_another_root_and_patterns(store: Store, project: Path, tmp_path: Path) -> None:
    text = FLOW + "bundle: {root: .., exclude: ['**/*.sh', flowq.toml]}\n"
    assert there(store, ship(store, project, text), tmp_path / "there") == ["code.py", "flows/flow.yaml"]


def test_nothing_travels_unless_asked(store: Store, project: Path) -> None:
    plan = plan_of(project, "jobs: {a: {run: 'true'}}\n")
    assert not store.runs.require(submit(store, plan, directory=project)).bundle
    assert store.runs.require(submit(store, with_shipment(plan), directory=project)).bundle


def test_a_bundle_is_stored_once_and_as_long_as_a_run_has_it(store: Store, project: Path) -> None:
    first, second = ship(store, project), ship(store, project)
    name = store.runs.require(first).bundle
    assert store.runs.require(second).bundle == name
    key = store.session.keys("bundle", name)
    assert store.client.pttl(key) == -1
    for run in (first, second):
        assert store.client.pttl(key) == -1
        store.runs.cancel(run)
        assert store.runs.require(run).status is RunStatus.CANCELED
        store.runs.delete(run)
    assert 0 < store.client.pttl(key) <= 3_600_000
    ship(store, project)
    assert store.client.pttl(key) == -1


def test_a_run_of_other_files_is_another_run(store: Store, project: Path) -> None:
    assert ship(store, project, run_id="nightly") == ship(store, project, run_id="nightly") == "nightly"
    (project / "flows/helper.sh").write_text("false")
    with pytest.raises(InvalidRunOperation, match="the id nightly already"):
        ship(store, project, run_id="nightly")


def test_a_flow_file_must_be_among_them(store: Store, project: Path) -> None:
    with pytest.raises(UsageError, match=r"flow\.yaml does not travel"):
        ship(store, project, FLOW + "bundle: {exclude: '*.yaml'}\n")
    (project / "lib").mkdir()
    with pytest.raises(UsageError, match=r"flow\.yaml lies outside .*lib, whose files travel"):
        ship(store, project, FLOW + "bundle: {root: ../lib}\n")
    with pytest.raises(UsageError, match=r"has no requirements\.txt"):
        ship(store, project, FLOW + "bundle: {requires: requirements.txt}\n")
    assert store.runs.recent() == []


def test_a_bundle_has_a_limit(store: Store, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipment, "MAX_BUNDLE", 100)
    assert MAX_BUNDLE > 100
    with pytest.raises(TooLargeError, match=r"travel with a run: exclude data"):
        ship(store, project)
    assert store.runs.recent() == []


def test_standard_input_has_no_files(store: Store) -> None:
    plan = compile_file("-", text=b"jobs: {a: {run: 'true'}}").plan
    assert plan is not None
    with pytest.raises(UsageError, match="leave --ship out"):
        with_shipment(plan)
