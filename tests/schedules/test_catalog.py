"""The catalog of a directory: what is found, what happens to files that change, and what it costs."""

import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from flowq.exceptions import UsageError
from flowq.schedules.directory.catalog import Catalog, FlowChangedError
from tests.support.wait import until

VALID = "jobs:\n  a: {run: 'true'}\n"
OTHER = "jobs:\n  b: {run: 'true'}\n"
WRONG = "jobs:\n  a: {runs: 'true'}\n"
AGO = 60  # s


def write(path: Path, text: str = VALID, ago: float = AGO) -> Path:
    """Write a file as one that was written some time ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - ago, time.time() - ago))
    return path


def looked(root: Path) -> Catalog:
    catalog = Catalog(root)
    catalog.look()
    return catalog


def jobs(catalog: Catalog, name: str) -> list[str]:
    plan = catalog.flows[name].compilation.plan
    return [] if plan is None else [cell.name for cell in plan.cells]


def test_flows_are_found_by_their_paths(tmp_path: Path) -> None:
    for name in ("a.yaml", "etl/load.yml", ".flowq/own.yaml", "etl/deep/er/x.yaml"):
        write(tmp_path / name)
    for name in (
        ".git/x.yaml",
        "_parts/sub.yaml",
        ".hidden.yaml",
        "node_modules/p.yaml",
        "env/pyvenv.cfg",
        "env/x.yaml",
        "text.txt",
    ):
        write(tmp_path / name)
    write(tmp_path / "values.yaml", "region: eu\n")
    write(tmp_path / ".github" / "ci.yaml", "jobs: {build: {steps: []}}\n")
    assert sorted(looked(tmp_path).flows) == [".flowq/own", "a", "etl/deep/er/x", "etl/load"]


def test_ignored_files_are_left_out(tmp_path: Path) -> None:
    for name in ("a.yaml", "drafts/b.yaml", "drafts/kept.yaml", "etl/test_c.yaml", "test_d.yaml"):
        write(tmp_path / name)
    write(tmp_path / ".flowqignore", "# not yet\ndrafts/*.yaml\n!drafts/kept.yaml\n\n**/test_*.yaml\n")
    catalog = looked(tmp_path)
    assert sorted(catalog.flows) == ["a", "drafts/kept"]
    (tmp_path / ".flowqignore").unlink()
    catalog.look()
    assert len(catalog.flows) == 5


def test_an_ignore_file_that_cannot_be_used_leaves_everything_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml")
    catalog = looked(tmp_path)
    (tmp_path / ".flowqignore").write_bytes(b"\xff\n")
    write(tmp_path / "b.yaml")
    catalog.look()
    assert catalog.stale
    assert ".flowqignore cannot be used" in catalog.problem
    assert list(catalog.flows) == ["a"]


def test_links_to_files_are_followed_and_those_to_directories_are_not(tmp_path: Path) -> None:
    """As volumes of Kubernetes are laid out: files are links into a directory that is exchanged."""
    root = tmp_path / "root"
    write(root / "..1" / "a.yaml", VALID)
    write(root / "..2" / "a.yaml", OTHER)
    (root / "..data").symlink_to("..1")
    (root / "a.yaml").symlink_to("..data/a.yaml")
    (root / "loop").symlink_to(".")
    (root / "gone.yaml").symlink_to("nothing.yaml")
    os.mkfifo(root / "pipe.yaml")
    catalog = looked(root)
    assert {name: jobs(catalog, name) for name in catalog.flows} == {"a": ["a"]}
    (root / "new").symlink_to("..2")
    (root / "new").rename(root / "..data")
    catalog.look()
    assert jobs(catalog, "a") == ["b"]


def test_an_invalid_file_harms_no_other(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        write(tmp_path / name)
    catalog = looked(tmp_path)
    write(tmp_path / "b.yaml", WRONG, ago=30)
    catalog.look()
    assert {name: flow.valid for name, flow in catalog.flows.items()} == {"a": True, "b": False, "c": True}
    (problem,) = catalog.flows["b"].compilation.diagnostics
    assert (problem.file, problem.code) == (str(tmp_path / "b.yaml"), "FQ101")
    write(tmp_path / "b.yaml", OTHER, ago=20)
    catalog.look()
    assert catalog.flows["b"].valid
    assert jobs(catalog, "b") == ["b"]


def test_an_emptied_file_is_a_mistake_and_a_deleted_one_is_gone(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml")
    write(tmp_path / "b.yaml")
    catalog = looked(tmp_path)
    write(tmp_path / "a.yaml", "", ago=30)
    (tmp_path / "b.yaml").unlink()
    catalog.look()
    assert {name: flow.valid for name, flow in catalog.flows.items()} == {"a": False}


def test_a_flow_whose_params_lack_values_is_valid(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "params: {day: {type: date}}\njobs:\n  a: {run: 'echo ${{ params.day }}'}\n")
    flow = looked(tmp_path).flows["a"]
    assert flow.valid
    assert flow.compilation.plan is None
    assert flow.compile(params={"day": "2026-01-31"}).ok


def test_two_files_of_one_name_are_both_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml")
    catalog = looked(tmp_path)
    write(tmp_path / "a.yml")
    catalog.look()
    assert [(flow.valid, flow.problem) for flow in catalog.flows.values()] == [
        (False, "a.yaml and a.yml have one name: rename one of them")
    ]
    (tmp_path / "a.yml").unlink()
    catalog.look()
    assert [(flow.valid, flow.problem) for flow in catalog.flows.values()] == [(True, "")]


@pytest.mark.parametrize("name", ["a:b.yaml", "line\nbreak.yaml", os.fsdecode(b"latin-\xe9.yaml")])
def test_names_that_no_id_can_have_are_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path / name)
    (flow,) = looked(tmp_path).flows.values()
    assert not flow.valid
    assert "rename the file" in flow.problem


def test_a_file_is_compiled_when_it_has_not_changed_for_a_second(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml")
    catalog = looked(tmp_path)
    write(tmp_path / "a.yaml", "jobs:\n  b:", ago=0)
    write(tmp_path / "new.yaml", ago=0)
    catalog.look()
    assert jobs(catalog, "a") == ["a"], "the text before"
    assert [flow.settled for flow in catalog.flows.values()] == [False]
    assert "new" not in catalog.flows
    with pytest.raises(FlowChangedError):
        catalog.flows["a"].compile()
    write(tmp_path / "a.yaml", OTHER, ago=0)

    def is_new() -> bool:
        catalog.look()
        return "new" in catalog.flows and jobs(catalog, "a") == ["b"]

    until(is_new, message="the new text")
    assert [flow.settled for flow in catalog.flows.values()] == [True, True]
    assert catalog.flows["a"].compile().ok


def test_a_file_is_never_taken_half_written(tmp_path: Path) -> None:
    """A writer that rewrites the file in two steps, as fast as it can, while the catalog looks. One that is held up between them for
    longer than a file must rest does not count: its half is taken for the whole file, which no reader can tell.
    """
    whole = "jobs:\n" + "".join(f"  job{number}: {{run: 'true'}}\n" for number in range(20))
    path = write(tmp_path / "a.yaml", whole)
    catalog = looked(tmp_path)
    stop = threading.Event()
    slowest = 0.0

    def rewrite() -> None:
        nonlocal slowest
        while not stop.is_set():
            begun = time.monotonic()
            with path.open("w") as file:
                file.write(whole[:200])
                file.flush()
                file.write(whole[200:])
            slowest = max(slowest, time.monotonic() - begun)

    writer = threading.Thread(target=rewrite)
    writer.start()
    seen = set()
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:
        catalog.look()
        seen.add(len(jobs(catalog, "a")))
    stop.set()
    writer.join()
    assert seen == {20} or slowest > 0.9, "a file that has not changed for 1 s counts as written"


def test_a_file_that_is_only_touched_is_not_compiled_again(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml")
    catalog = looked(tmp_path)
    before = catalog.flows["a"].compilation
    write(tmp_path / "a.yaml", ago=30)
    catalog.look()
    assert catalog.flows["a"].compilation is before
    assert catalog.flows["a"].settled
    assert catalog.flows["a"].compile().ok


def test_a_changed_sub_flow_changes_the_flow(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "jobs:\n  all: {flow: _parts/sub.yaml}\n")
    write(tmp_path / "_parts" / "sub.yaml", VALID)
    catalog = looked(tmp_path)
    assert "all/a" in jobs(catalog, "a")
    write(tmp_path / "_parts" / "sub.yaml", OTHER, ago=30)
    with pytest.raises(FlowChangedError):
        catalog.flows["a"].compile()
    catalog.look()
    assert "all/b" in jobs(catalog, "a")


@pytest.mark.parametrize("how", ["moved", "emptied", "unreadable"])
def test_a_directory_that_vanishes_leaves_the_catalog_stale(tmp_path: Path, how: str) -> None:
    if how == "unreadable" and os.geteuid() == 0:
        pytest.skip("root reads everything")
    root = tmp_path / "flows"
    write(root / "a.yaml")
    write(root / "etl" / "b.yaml")
    catalog = looked(root)
    before = dict(catalog.flows)
    aside = tmp_path / "aside"
    if how == "unreadable":
        root.chmod(0)
    else:
        root.rename(aside)
        if how == "emptied":
            root.mkdir()
    catalog.look()
    assert catalog.stale
    assert str(root) in catalog.problem
    assert catalog.flows == before
    if how == "unreadable":
        root.chmod(0o755)
    else:
        shutil.rmtree(root, ignore_errors=True)
        aside.rename(root)
    catalog.look()
    assert (catalog.stale, catalog.problem) == (False, "")
    assert catalog.flows == before


def test_a_directory_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowq.schedules.directory.walk.MAX_ENTRIES", 3)
    for number in range(4):
        write(tmp_path / f"{number}.txt")
    catalog = looked(tmp_path)
    assert catalog.stale
    assert "more than 3 files" in catalog.problem


@pytest.mark.parametrize(("name", "root"), [(None, "with space"), ("", "a"), ("a/b", "a"), ("..", "a"), ("x" * 65, "a")])
def test_names_of_catalogs_are_checked(tmp_path: Path, name: str | None, root: str) -> None:
    with pytest.raises(UsageError, match="the name of a catalog"):
        Catalog(tmp_path / root, name)


def test_a_look_at_1000_flows_takes_less_than_20_ms(tmp_path: Path) -> None:
    for number in range(1000):
        write(tmp_path / f"team{number % 10}" / f"flow{number}.yaml")
    catalog = looked(tmp_path)
    assert len(catalog.flows) == 1000
    times = []
    for _ in range(10):
        started = time.process_time()  # of this process alone: others may be at work
        catalog.look()
        times.append(time.process_time() - started)
    assert min(times) < 0.02


def test_a_file_that_is_missing_makes_the_flow_valid_when_it_comes(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "dotenv: settings.env\njobs:\n  all: {flow: _parts/sub.yaml}\n")
    catalog = looked(tmp_path)
    valid = [catalog.flows["a"].valid]
    write(tmp_path / "_parts" / "sub.yaml", VALID)
    write(tmp_path / "settings.env", "REGION=eu\n")
    catalog.look()
    valid.append(catalog.flows["a"].valid)
    write(tmp_path / "settings.env", "REGION\n", ago=30)
    catalog.look()
    assert [*valid, catalog.flows["a"].valid] == [False, True, False]


def test_messages_for_all_flows_are_noticed_when_their_file_changes(tmp_path: Path) -> None:
    def look() -> tuple[bool, list[str]]:
        catalog.look()
        flow = catalog.flows["a"]
        return flow.valid, [notice.address for notice in flow.compilation.notify]

    write(tmp_path / "flows" / "a.yaml")
    catalog = Catalog(tmp_path / "flows")
    assert look() == (True, [])
    write(tmp_path / "flowq.toml", 'notify = {on = "failed", to = {env = "OPS"}}\n')
    assert look() == (True, ["$OPS"])
    write(tmp_path / "flowq.toml", "notify = {on = 'failed', to", ago=AGO - 1)
    assert look() == (False, [])
    (tmp_path / "flowq.toml").unlink()
    assert look() == (True, [])
