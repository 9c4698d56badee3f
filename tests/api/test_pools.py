"""`WorkerPool` and the other worker classes, on real processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Queue, SimpleWorker, SpawnWorker, Worker
from flowq.exceptions import ConfigError, UsageError
from flowq.job import Job
from flowq.worker import HerokuWorker, RandomWorker, RoundRobinWorker
from flowq.worker.signals import SAME_STOP
from flowq.worker_pool import WorkerPool
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for
from tests.support.wait import until


class Wrapped(Job):
    def perform(self) -> Any:
        return ["wrapped", super().perform()]


def handler(job: Job, kind: Any, value: Any, trace: Any) -> None:
    samples.write(job.meta["log"], f"handled {kind.__name__}\n")


class RunningPool:
    """A pool in its own process and session."""

    def __init__(self, make: Callable[[], WorkerPool], **start: Any) -> None:
        self.pid = os.fork()
        self.code: int | None = None
        if self.pid == 0:
            code = 1
            try:
                os.setsid()
                make().start(**start)
                code = 0
            finally:
                os._exit(code)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, timeout: float = 20) -> int:
        def gone() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            return bool(pid)

        until(gone, timeout=timeout, message="the pool did not end")
        assert self.code is not None
        return self.code


@pytest.fixture
def pool(connection: redis.Redis) -> Iterator[Callable[..., RunningPool]]:
    started: list[RunningPool] = []

    def start(num_workers: int = 2, *, options: dict[str, Any] | None = None, **more: Any) -> RunningPool:
        made = RunningPool(lambda: WorkerPool(["default"], connection, num_workers, **(options or {})), **more)
        started.append(made)
        return made

    yield start
    for item in started:
        if item.code is None:
            item.signal(signal.SIGKILL)
            item.wait()


def pids(connection: redis.Redis, count: int) -> set[int]:
    """Wait until that many workers are alive; return their process ids."""
    until(lambda: Worker.count(connection) == count, message=f"{count} workers")
    return {worker.pid for worker in Worker.all(connection)}


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" if Path("/proc/self").exists() else True


def test_a_burst_pool_executes_all_jobs_and_ends(
    queue: Queue, connection: redis.Redis, pool: Callable[..., RunningPool]
) -> None:
    jobs = [queue.enqueue(samples.add, number) for number in range(6)]
    assert pool(3, burst=True).wait() == 0
    assert [job.result for job in jobs] == list(range(6))
    assert Worker.count(connection) == 0


def test_attributes_of_a_pool(connection: redis.Redis) -> None:
    pool = WorkerPool([Queue("a", connection=connection), "b"], num_workers=3, worker_class="flowq.SimpleWorker")
    assert (pool.status, pool.num_workers, pool.number_of_active_workers) == (WorkerPool.Status.IDLE, 3, 0)
    assert [queue.name for queue in pool.queues] == ["a", "b"]
    assert pool.worker_class is SimpleWorker
    assert pool.connection is connection


@pytest.mark.parametrize(
    "wrong", [{"num_workers": 0}, {"num_workers": "two"}, {"colour": "red"}, {"worker_class": "no.such.Thing"}]
)
def test_wrong_arguments_are_refused(connection: redis.Redis, wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError if "colour" in wrong else UsageError):
        WorkerPool(["default"], connection, **wrong)
    with pytest.raises(UsageError):
        WorkerPool([], connection)


def test_its_methods_can_be_used_without_start(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.add, 1)
    pool = WorkerPool(["default"], connection, 2)
    pool.start_workers(burst=False)
    assert pool.number_of_active_workers == 2
    wait_for(job, "finished")
    pool.stop_workers()
    until(pool.all_workers_have_stopped, message="the workers to stop")
    assert pool.number_of_active_workers == 0
    pool.check_workers()
    assert pool.number_of_active_workers == 0
    pool.kill_workers()


def test_a_killed_worker_is_replaced_and_its_job_is_executed(
    queue: Queue, connection: redis.Redis, pool: Callable[..., RunningPool], tmp_path: Path
) -> None:
    running = pool(2, options={"worker_ttl": 1})
    before = pids(connection, 2)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"), retry=1)
    wait_for(job, "started")
    holder = next(worker.pid for worker in Worker.all(connection) if worker.name == job.worker_name)
    os.kill(holder, signal.SIGKILL)
    until(lambda: pids(connection, 2) != before, message="another worker")
    assert holder not in pids(connection, 2)
    (tmp_path / "go").touch()
    wait_for(job, "finished", timeout=20)
    running.signal(signal.SIGTERM)
    assert running.wait() == 0


def test_the_first_interrupt_lets_jobs_end(
    queue: Queue, connection: redis.Redis, pool: Callable[..., RunningPool], tmp_path: Path
) -> None:
    running = pool(2)
    pids(connection, 2)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    wait_for(job, "started")
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does for Ctrl+C
    pids(connection, 1)  # the idle one stops
    late = queue.enqueue(samples.add, 1)
    assert job.is_started
    (tmp_path / "go").touch()
    assert running.wait() == 0
    assert (job.get_status(), late.get_status()) == ("finished", "queued")


def test_the_second_interrupt_requeues_jobs(
    queue: Queue, connection: redis.Redis, pool: Callable[..., RunningPool], tmp_path: Path
) -> None:
    running = pool(2)
    workers = pids(connection, 2)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    wait_for(job, "started")
    os.killpg(running.pid, signal.SIGINT)
    pids(connection, 1)
    time.sleep(SAME_STOP + 0.3)  # an earlier one would be the same signal
    os.killpg(running.pid, signal.SIGINT)
    assert running.wait() == 0
    assert (job.get_status(), job.number_of_retries) == ("queued", 0)
    until(lambda: not any(alive(pid) for pid in workers), message="all workers to be gone")


@pytest.mark.parametrize("kind", ["flowq.Worker", "flowq.SpawnWorker", "flowq.SimpleWorker"])
def test_workers_end_when_the_pool_is_killed(
    queue: Queue, connection: redis.Redis, pool: Callable[..., RunningPool], tmp_path: Path, kind: str
) -> None:
    running = pool(2, options={"worker_class": kind})
    workers = pids(connection, 2)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    wait_for(job, "started")
    running.signal(signal.SIGKILL)
    if kind.endswith("SimpleWorker"):
        (tmp_path / "go").touch()  # it has no process but its own to kill
    until(lambda: not any(alive(pid) for pid in workers), message="all workers to be gone")
    assert job.get_status() == ("finished" if kind.endswith("SimpleWorker") else "queued")


def test_workers_that_die_at_once_are_replaced_with_pauses(connection: redis.Redis, tmp_path: Path) -> None:
    pool = WorkerPool(["default"], connection, 1, worker_class="tests.api.test_pools.Dying")
    os.environ["DYING_LOG"] = str(tmp_path / "log")
    pool.start_workers(burst=False)
    until(pool.all_workers_have_stopped, message="its death")
    for _ in range(20):
        pool.check_workers()
    assert lines(tmp_path / "log") == ["died"]
    assert pool._not_before > 0
    pool.kill_workers()


def test_without_a_server_the_pool_logs_it_and_keeps_trying(tmp_path: Path) -> None:
    code = (
        "from redis import Redis; from redis.backoff import NoBackoff; from redis.retry import Retry;"
        " from flowq.worker_pool import WorkerPool;"
        f" client = Redis(unix_socket_path='{tmp_path}/none', retry=Retry(NoBackoff(), 0));"
        " WorkerPool(['default'], client, 1).start()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        heard = ""
        while heard.count("cannot be reached") < 2:  # two workers, one after the other
            heard += process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        heard += process.stderr.read()
        assert process.wait() == 0
    assert "Traceback" not in heard


class Dying(Worker):
    def work(self, *_: Any, **__: Any) -> bool:
        samples.write(os.environ["DYING_LOG"], "died\n")
        os._exit(3)


# -- the classes


@pytest.mark.parametrize("worker_class", [RoundRobinWorker, RandomWorker])
def test_queues_in_turn_or_at_random(connection: redis.Redis, tmp_path: Path, worker_class: type[Worker]) -> None:
    log = tmp_path / "log"
    queues = [Queue(name, connection=connection) for name in "abc"]
    for queue, count in zip(queues, (3, 2, 1), strict=True):
        for _ in range(count):
            queue.enqueue(samples.write, str(log), f"{queue.name}\n")
    worker_class(queues).work(burst=True)
    assert sorted(lines(log)) == list("aaabbc")
    if worker_class is RoundRobinWorker:
        assert lines(log) == ["a", "b", "c", "a", "b", "a"]


class Hasty(HerokuWorker):
    imminent_shutdown_delay = 0.5


def descendants(pid: int) -> list[int]:
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(below for child in found for below in descendants(child))]


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes by /proc")
@pytest.mark.parametrize("in_time", [True, False])
def test_a_host_that_signals_every_process(
    queue: Queue, background: Callable[..., Background], tmp_path: Path, in_time: bool
) -> None:
    kind = HerokuWorker if in_time else Hasty
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    worker = background(lambda: kind([queue]))
    until((tmp_path / "go.started").exists, message="the job to run")
    for pid in (worker.pid, *descendants(worker.pid)):
        os.kill(pid, signal.SIGTERM)
    if in_time:
        until(lambda: Worker.all(queue.connection)[0].state == "stopping", message="the worker to stop")
        (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert (job.get_status(), job.number_of_retries) == ("finished" if in_time else "queued", 0)


def test_a_spawn_worker_executes_below_a_fresh_interpreter(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "found_by_path.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(samples, "add", lambda x, y=0: ("patched", x, y))
    jobs = [queue.enqueue("found_by_path.answer"), queue.enqueue("tests.api.samples.add", 1), queue.enqueue(samples.who_am_i)]
    SpawnWorker([queue]).work(burst=True)
    assert [job.result for job in jobs] == [42, 1, jobs[2].id]


def test_a_spawn_worker_passes_on_its_classes(connection: redis.Redis, tmp_path: Path) -> None:
    queue = Queue(connection=connection, serializer="json")
    good, bad = queue.enqueue(samples.add, 1), queue.enqueue(samples.div_by_zero, 1, meta={"log": str(tmp_path / "log")})
    pickled = Queue(connection=connection).enqueue(samples.add, 1)
    SpawnWorker([queue], job_class=Wrapped, exception_handlers=handler, serializer="json").work(burst=True)
    assert good.result == ["wrapped", 1]
    assert bad.is_failed
    assert lines(tmp_path / "log") == ["handled ZeroDivisionError"]
    assert "only reads jobs serialized with" in (pickled.exc_info or "")


def test_options_that_a_spawn_worker_cannot_pass_on_are_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="import it by name"):
        SpawnWorker([queue], exception_handlers=lambda *_: None)


@pytest.mark.parametrize(
    ("client", "url"),
    [
        (redis.Redis(), "redis://localhost:6379/0"),
        (redis.Redis(host="::1", port=7000, db=2, password="p@/x"), "redis://:p%40%2Fx@[::1]:7000/2"),
        (redis.Redis(unix_socket_path="/tmp/a b", db=1), "unix:///tmp/a%20b?db=1"),
        (redis.Redis(host="h", username="u", password="p", ssl=True, ssl_ca_certs="/ca"), "rediss://u:p@h:6379/0?"),
    ],
)
def test_the_address_of_a_client(client: redis.Redis, url: str) -> None:
    from flowq.connections.clients import _client
    from flowq.connections.urls import url_of

    found = url_of(client)
    assert found.startswith(url)
    again = _client(found, "flowq").connection_pool
    assert again.connection_class is client.connection_pool.connection_class
    for name in ("host", "port", "path", "db", "password", "ssl_ca_certs"):
        if (value := client.connection_pool.connection_kwargs.get(name)) is not None:
            assert again.connection_kwargs[name] == value


def test_a_client_without_an_address_is_refused() -> None:
    from flowq.connections.urls import url_of

    with pytest.raises(ConfigError, match="FLOWQ_REDIS_URL"):
        url_of(redis.Redis(credential_provider=redis.UsernamePasswordCredentialProvider("u", "p")))
