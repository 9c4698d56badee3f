"""Fork servers: the choice for a job, inherited variables, and cleaning up after a killed one."""

import pickle
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq import ids
from flowq.plan import Action
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.worker.fork_server.scratch import ScratchDirectory, remove_leftovers
from flowq.worker.options import WorkerOptions
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.lane import Lane
from flowq.worker.supervisor.fork_servers.pool import ForkServerPool, place_of
from tests.support import namespaces
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import MODULES, call
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

SECRETS = ("FLOWQ_REDIS_URL", "FLOWQ_SECRET_KEY")


@pytest.fixture
def fork_servers() -> Iterator[ForkServerPool]:
    loop = Loop()
    one = ForkServerPool(loop, WorkerOptions(("q",)))
    yield one
    one.close()
    loop.close()


def with_env(**env: str) -> dict[str, Any]:
    return call("noop", env=env)


def test_jobs_with_different_variables_share_a_fork_server(fork_servers: ForkServerPool) -> None:
    assert len({fork_servers.for_task(with_env(CELL=str(number))) for number in range(20)}) == 1


def test_variables_that_must_be_set_early_need_their_own_fork_server(fork_servers: ForkServerPool) -> None:
    chosen = [
        fork_servers.for_task(with_env(**env)) for env in ({"A": "1"}, {"PYTHONHASHSEED": "1"}, {"TZ": "UTC"}, {"A": "2"})
    ]
    assert len(set(chosen)) == 3
    assert chosen[0] is chosen[3]


def test_a_frequent_environment_gets_a_server_that_preloads_modules(fork_servers: ForkServerPool) -> None:
    chosen = [fork_servers.for_task(with_env(STAGE="test")) for _ in range(4)]
    assert chosen[0] is chosen[1]
    assert chosen[2] is chosen[3]
    assert chosen[1] is not chosen[2]
    assert chosen[0] is fork_servers.for_task(with_env(STAGE="other"))


def test_a_shared_server_preloads_no_modules(fork_servers: ForkServerPool) -> None:
    job = with_env(CELL="1")
    shared = fork_servers.for_task(job)
    fork_servers.used(job, shared)
    assert not shared._tried
    assert place_of(job) != place_of(job)._replace(shared=True)


def test_a_module_that_hangs_is_not_imported_ahead_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hangs.py").write_text("import select; select.select((), (), (), 600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    loop = Loop()
    pool = ForkServerPool(loop, WorkerOptions(("q",), preload=("hangs",)))
    answers: list[Lane | None] = []

    def wait(lane: Lane | None, _why: str) -> None:
        answers.append(lane)

    first = pool.for_task(call("noop"))
    first.obtain(wait)
    first.abandon()
    assert answers == [None]
    pool.for_task(call("noop")).obtain(wait)
    while len(answers) < 2:
        loop.turn(10.0)
    assert answers[1] is not None
    pool.close()
    loop.close()


def test_the_cells_of_a_matrix_have_their_own_variables(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    action = Action("call", module="process_jobs", attribute="parent_and", args=("CELL",))
    nodes = [node(f"n{number}", action, env={"CELL": str(number)}) for number in range(8)]
    run = start(store, flow(*nodes, file=f"{MODULES}/flow.yaml"), tmp_path)
    with WorkerProcess(server.url, "--until-run", run):
        ended(store, run)
    results = [value for _, value in store.runs.results(run, range(8))]
    parents, cells = zip(
        *[map(int, (value or b"").strip(b"[]").replace(b'"', b"").split(b",")) for value in results], strict=True
    )
    assert cells == tuple(range(8))
    assert len(set(parents)) == 1


def test_jobs_of_flows_do_not_see_the_servers_address(
    store: Store, server: PrivateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWQ_SECRET_KEY", "a key that only flowq's own processes know")
    action = Action("call", module="process_jobs", attribute="environment", args=SECRETS)
    own = Path(MODULES) / "process_jobs.py"
    initial = f"tr '\\0' '\\n' < /proc/$PPID/environ | grep -c -e {SECRETS[0]} -e {SECRETS[1]} || true"
    run = start(store, flow(node("a", action), node("b", script(initial)), file=str(own)), tmp_path)
    with WorkerProcess(server.url, "--until-run", run):
        ended(store, run)
    assert store.runs.results(run, [0]) == [(JobStatus.FINISHED, b'{"FLOWQ_REDIS_URL":null,"FLOWQ_SECRET_KEY":null}')]
    if sys.platform == "linux":  # every process of this user can read the initial environment of the fork server
        assert [entry.data for entry in store.runs.logs(run)] == [b"0\n"]


def test_plain_jobs_and_their_callbacks_reach_the_server(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    def create(name: str, function: str, *args: object, **fields: str) -> None:
        payload = pickle.dumps((f"process_jobs.{function}", args, {}))
        store.jobs.create(NewJob(name, "q", payload, ids.nonce(), fields=fields))

    create("asks", "own_id")
    create("sees", "environment", "FLOWQ_REDIS_URL")
    create("dies", "kill_me", int(signal.SIGKILL), on_failure="process_jobs.report_death|10000")
    env = {"PYTHONPATH": MODULES, "FLOWQ_NAMESPACE": "flowq-test", "REPORT": str(tmp_path / "report")}
    with WorkerProcess(server.url, "q", "--burst", env=env) as worker:
        assert worker.wait() == 0
    results = [store.jobs.result(name) for name in ("asks", "sees")]
    values = [pickle.loads(result.value) for result in results if result is not None and result.value is not None]  # noqa: S301
    assert values == ["asks", {"FLOWQ_REDIS_URL": server.url}]
    assert (tmp_path / "report").read_text() == "dies"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_files_of_a_killed_fork_server_are_removed(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    kill = script(f"ls {scratch} > {tmp_path}/seen; kill -9 $PPID; sleep 60")
    run = start(store, flow(node("a", kill)), tmp_path)
    with WorkerProcess(server.url, env={"TMPDIR": str(scratch)}):
        assert ended(store, run)[0].reason == "killed"
        assert (tmp_path / "seen").read_text().startswith("flowq-")
        until(lambda: not list(scratch.iterdir()), message="the directory to be removed")


def test_only_files_of_a_dead_fork_server_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    used = ScratchDirectory()
    used.ensure()
    kept = [Path(used.path).name, "flowq-12345678-0123456789ab", "other-scratch-0123456789ab"]
    for name in (*kept, "flowq-scratch-0123456789ab"):
        (tmp_path / name / "7").mkdir(parents=True)
        (tmp_path / name).chmod(0o700)
        (tmp_path / name / "7" / "script").touch()
    (tmp_path / "flowq-scratch-aaaaaaaaaaaa").mkdir(mode=0o755)
    (tmp_path / "flowq-scratch-bbbbbbbbbbbb").symlink_to(tmp_path / kept[1])
    remove_leftovers()
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {*kept, "flowq-scratch-aaaaaaaaaaaa", "flowq-scratch-bbbbbbbbbbbb"}
    assert (Path(used.path) / "7" / "script").exists()
    used.remove()
    assert not Path(used.path).exists()


def test_a_scratch_directory_that_was_removed_is_made_and_locked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    used = ScratchDirectory()
    for _ in range(2):
        used.ensure()
        remove_leftovers()
        assert Path(used.path).is_dir()
        Path(used.path).rmdir()
    used.let_go()


@pytest.mark.parametrize("apart", [(), namespaces.UNSHARE], ids=["beside", "namespace"])
def test_a_worker_that_starts_leaves_the_files_of_running_jobs_alone(
    store: Store, server: PrivateServer, tmp_path: Path, apart: tuple[str, ...]
) -> None:
    """Also where the two share only the directory for temporary files: the ids of processes mean nothing then."""
    if apart and (why := namespaces.why_not()):
        pytest.skip(why)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    run = start(
        store,
        flow(
            node(
                "a",
                script(f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.02; done; echo one=1 > $FLOWQ_OUTPUT"),
            )
        ),
        tmp_path,
    )
    with WorkerProcess(server.url, env={"TMPDIR": str(scratch)}):
        until((tmp_path / "begun").exists)
        with WorkerProcess(server.url, "other", "--burst", env={"TMPDIR": str(scratch)}, prefix=apart) as other:
            assert other.wait() == 0
        (tmp_path / "go").touch()
        assert ended(store, run)[0].status == "finished"
