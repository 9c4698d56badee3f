"""Cron schedulers: each slot creates one job, also with several schedulers and when they are killed."""

import importlib
import inspect
import operator
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry as Retries

from flowq import Queue, RateLimit, Retry, SimpleWorker, Webhook, cron_job_registry, cron_scheduler_registry
from flowq.cron import CronJob, CronScheduler, create_cron, get_cron_job_ids, register
from flowq.exceptions import DuplicateSchedulerError, SchedulerNotFound, ServerError, UsageError
from flowq.job import Job
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.api import samples
from tests.api.conftest import Command
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until

HOUR = 3_600_000
ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, connection: redis.Redis) -> Iterator[Start]:
    """Start `flowq` as a process in the test's directory, on the private server."""
    url = f"unix://{connection.connection_pool.connection_kwargs['path']}"
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "flowq.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "FLOWQ_REDIS_URL": url, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


def scheduler(connection: redis.Redis, name: str = "", **settings: Any) -> CronScheduler:
    return CronScheduler(connection, "ERROR", name, **settings)


def latest_slot(connection: redis.Redis, job: CronJob) -> int:
    found = connection.hget(f"{{flowq}}:cron:{job.key()}", "slot")
    assert isinstance(found, bytes)
    return int(found)


def set_back(connection: redis.Redis, job: CronJob, millis: int) -> None:
    """Set the latest slot of an entry back, as if no scheduler had run since."""
    connection.hset(f"{{flowq}}:cron:{job.key()}", "slot", latest_slot(connection, job) - millis)


# -- one scheduler -------------------------------------------------------------------------------------------------------------


def test_an_interval_is_enqueued_at_once_and_then_again(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    job = cron.register(samples.add, "default", (1,), {"y": 2}, interval=3600, job_timeout=7, result_ttl=60, meta={"a": 1})
    assert job.should_run()
    assert cron.enqueue_jobs() == [job]
    assert cron.enqueue_jobs() == []
    (enqueued,) = queue.jobs
    assert (enqueued.func_name, enqueued.args, enqueued.kwargs) == ("tests.api.samples.add", (1,), {"y": 2})
    assert (enqueued.timeout, enqueued.result_ttl, enqueued.meta) == (7, 60, {"a": 1})
    assert job.latest_enqueue_time is not None
    assert job.next_enqueue_time is not None
    assert (job.next_enqueue_time - job.latest_enqueue_time).total_seconds() == 3600
    assert 59 < cron.calculate_sleep_interval() <= 60
    assert not job.should_run()
    set_back(connection, job, HOUR)
    assert cron.enqueue_jobs() == [job]
    assert job.get_job_ids(connection) == get_cron_job_ids("tests.api.samples.add", connection)
    assert set(job.get_job_ids(connection)) == set(queue.job_ids)
    SimpleWorker([queue]).work(burst=True)
    assert Job.fetch(enqueued.id, connection).return_value() == 3


def test_jobs_have_all_options_of_enqueue(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    hook = Webhook("https://example.org/told", "failed")
    cron.register(
        samples.add,
        "default",
        (1,),
        interval="1h",
        webhooks=[hook],
        timeout=5,
        retry=Retry(max=3),
        rate_limit=RateLimit("one", concurrency=1),
        on_failure=samples.nothing,
        description="nightly",
    )
    cron.enqueue_jobs()
    (job,) = queue.jobs
    assert [item.url for item in job.webhooks or ()] == ["https://example.org/told"]
    assert (job.retries_left, job.description, job.timeout) == (3, "nightly", 5)
    assert job.failure_callback is not None


def test_an_expression_counts_from_its_registration(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    job = cron.register("tasks.report", "default", cron="0 * * * *", timezone="Asia/Kolkata", name="report")
    assert cron.enqueue_jobs() == []
    assert job.next_enqueue_time is not None
    assert job.next_enqueue_time.minute == 30, "an hour in India begins at half past"
    set_back(connection, job, HOUR)
    assert cron.enqueue_jobs() == [job]
    assert [item.func_name for item in queue.jobs] == ["tasks.report"]
    assert job.latest_enqueue_time is not None
    assert job.latest_enqueue_time.minute == 30, "the slot is recorded, not the time when a scheduler handled it"


def test_the_latest_missed_slot_is_caught_up(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    made_up = cron.register("tasks.a", "default", cron="0 * * * *")
    left_out = cron.register("tasks.b", "default", cron="0 * * * *", catch_up=False)
    every = cron.register("tasks.c", "default", interval="1h")
    cron.enqueue_jobs()
    queue.empty()
    for job in (made_up, left_out, every):
        set_back(connection, job, 50 * HOUR + HOUR // 2)
    now = datetime.now(UTC)
    cron.enqueue_jobs()
    names = [item.func_name for item in queue.jobs]
    assert names.count("tasks.a") == names.count("tasks.c") == 1, "one job, not fifty"
    assert "tasks.b" not in names or now.minute == 0, "a slot that is more than a minute old is left out"
    assert cron.enqueue_jobs() == []


def test_a_restart_does_not_repeat_a_slot(connection: redis.Redis, queue: Queue) -> None:
    for _ in range(3):
        cron = scheduler(connection, "the same")
        cron.register(samples.add, "default", (1,), interval=600)
        cron.enqueue_jobs()
        cron.register_death()
    assert len(queue) == 1


def test_schedules_start_again_on_an_emptied_server(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection, "one")
    cron.register("tasks.a", "default", interval=3600)
    cron.register("tasks.b", "default", cron="@yearly")
    assert len(cron.enqueue_jobs()) == 1
    connection.flushall()
    assert [job.func_name for job in cron.enqueue_jobs()] == ["tasks.a"]
    assert cron.enqueue_jobs() == []
    assert len(queue) == 1
    assert CronScheduler.all(connection) == [cron]


def test_entries_that_differ_in_any_argument_are_distinct(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    for settings in ({}, {"args": ("eu",)}, {"args": ("us",)}, {"args": ("us",)}, {"kwargs": {"x": 1}}, {"name": "other"}):
        cron.register(samples.add, "default", interval=600, **settings)
    cron.register(samples.add, "mails", interval=600)
    cron.register(samples.add, "default", interval=601)
    assert len(cron.enqueue_jobs()) == 8
    again = scheduler(connection)  # as in another process, which registers them in the order of its configuration
    for region in ("us", "asia", "eu"):
        again.register(samples.add, "default", interval=600, args=(region,))
    assert [job.args for job in again.enqueue_jobs()] == [("asia",)]


def test_the_identity_is_the_same_in_every_process(start: Start, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(
        "from flowq.cron import register, CronJob\n"
        "class Thing: pass\n"
        "print(CronJob('q', func_name='f', args=({'b', 'a', 'c'}, Thing(), {'y': 1, 'x': (2,)}), cron='@daily').key(), flush=True)\n"
    )
    seen = {start("cron", "show.py", PYTHONHASHSEED=str(seed)).communicate(timeout=30)[0] for seed in (1, 2, 3)}
    assert len(seen) == 1
    assert len(seen.pop().strip()) == 24


class Fast(datetime):
    """The clock of a machine that is two hours fast."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Fast":
        return super().now(tz) + timedelta(hours=2)


def test_slots_use_the_clock_of_the_server(connection: redis.Redis, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowq.cron.job.datetime", Fast)
    cron = scheduler(connection)
    hourly = cron.register("tasks.a", "default", cron="0 * * * *")
    every = cron.register("tasks.b", "default", interval=3600)
    cron.enqueue_jobs()
    assert [job.func_name for job in queue.jobs] == ["tasks.b"]
    assert cron.enqueue_jobs() == []
    for job in (hourly, every):
        assert job.next_enqueue_time is not None
        assert job.next_enqueue_time - datetime.now(UTC) <= timedelta(hours=1)


def test_a_slot_of_a_clock_that_was_years_ahead_does_not_silence_an_entry(connection: redis.Redis, queue: Queue) -> None:
    cron = scheduler(connection)
    cron.register("tasks.a", "default", interval=0.1)
    assert cron.enqueue_jobs()
    (entry,) = connection.scan_iter("*:cron:*")
    connection.hset(entry, "slot", round((time.time() + 10 * 365 * 86400) * 1000))
    until(cron.enqueue_jobs)


# -- several schedulers --------------------------------------------------------------------------------------------------------


def test_two_schedulers_create_no_duplicate_jobs(connection: redis.Redis, queue: Queue) -> None:
    crons = [scheduler(connection, name) for name in "abc"]
    for cron in crons:
        cron.register("tasks.a", "default", interval=0.1)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        random.choice(crons).enqueue_jobs()
    stamps = [job.enqueued_at for job in queue.jobs]
    assert 10 <= len(stamps) <= 16


def test_only_one_of_two_equal_requests_takes_effect(store: Store) -> None:
    queue = Queue(connection=store)
    jobs = [queue.submission(Queue.prepare_data(samples.add, (1,)))[1] for _ in range(4)]
    now = store.now_ms()
    assert store.crons.fire("entry", "name", None, now, jobs[0]) == (Outcome.DONE, now)
    assert store.crons.fire("entry", "name", None, now, jobs[0]) == (Outcome.DUPLICATE, now), "the reply was lost"
    assert store.crons.fire("entry", "name", None, now, jobs[1]) == (Outcome.CONFLICT, now)
    assert store.crons.fire("entry", "name", None, now + 1, jobs[1]) == (Outcome.CONFLICT, now)
    assert store.crons.fire("entry", "name", now, now + HOUR, jobs[2]) == (Outcome.WRONG_STATE, now), "it is too early"
    assert store.crons.fire("entry", "name", now - 5, now + 1, jobs[3]) == (Outcome.CONFLICT, now)
    assert queue.job_ids == store.crons.job_ids("name") == [jobs[0].id]
    assert store.crons.names() == ["name"]


CONFIG = """
from flowq.cron import register

register("tasks.tick", "default", interval=0.2, name="tick")
register("tasks.tock", "default", cron="* * * * * *", name="tock")
"""


@pytest.mark.slow
def test_slots_are_neither_lost_nor_duplicated_while_schedulers_are_killed(
    connection: redis.Redis, queue: Queue, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "crontab.py").write_text(CONFIG)
    rng = random.Random(5)
    running = [start("cron", "crontab.py", "--name", f"s{number}") for number in range(3)]
    until(lambda: len(queue) > 3, 30, "the first jobs")
    for number in range(5):
        victim = rng.randrange(3)
        running[victim].kill()
        running[victim].wait()
        running[victim] = start("cron", "crontab.py", "--name", f"s{victim}")  # the same name, whose holder is dead
        wanted = len(queue) + 4
        until(lambda wanted=wanted: len(queue) > wanted, 30, f"jobs after kill {number}")  # type: ignore[misc]
    pids = {process.pid for process in running}
    until(lambda: {item.pid for item in CronScheduler.all(connection)} == pids, 30, "all of them to be at work")
    for process in running:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    for name, step in (("tick", 200), ("tock", 1000)):
        found: Any = connection.zrange(f"{{flowq}}:cron-jobs:{name}", 0, -1, withscores=True)
        times = [int(score) for _, score in found]
        assert len(times) > 3
        assert not [late - early for early, late in pairwise(times) if (late - early) % step], "off the steps"
        assert len(set(times)) == len(times), "a slot gave two jobs"
        assert {job_id.decode() for job_id, _ in found} <= set(queue.job_ids)
    counted = sum(job.func_name == "tasks.tock" for job in queue.jobs)
    assert counted == connection.zcard("{flowq}:cron-jobs:tock"), "every slot that was noted has its job, and no job has none"


def test_lost_replies_create_no_duplicate_jobs(connection: redis.Redis, queue: Queue) -> None:
    rng, lost = random.Random(3), [0]

    def lose(_number: int) -> bool:
        lost[0] = lost[0] + 1 if lost[0] < 2 and rng.random() < 0.4 else 0
        return lost[0] > 0

    proxy = Proxy(connection.connection_pool.connection_kwargs["path"], lose)
    with redis.Redis(unix_socket_path=proxy.path, socket_timeout=10) as client:
        cron = scheduler(client)
        job = cron.register("tasks.a", "default", interval=3600)
        for number in range(20):
            assert cron.enqueue_jobs() == [job]
            assert len(queue) == number + 1
            set_back(connection, job, HOUR)
    assert proxy.lost > 5
    proxy.close()


def test_a_scheduler_may_die_at_every_call(connection: redis.Redis, queue: Queue) -> None:
    """A scheduler loses its connection at the n-th call and dies, and another one continues. The slot always creates one job."""
    died = 0
    for number in range(1, 9):
        connection.flushall()
        proxy = Proxy(connection.connection_pool.connection_kwargs["path"], lambda count, number=number: count >= number)  # type: ignore[misc]
        with redis.Redis(unix_socket_path=proxy.path, socket_timeout=10, retry=Retries(NoBackoff(), 0)) as client:
            cron = scheduler(client, "dies")
            cron.register("tasks.a", "default", interval=3600)
            cron.register("tasks.b", "default", interval=3600)
            try:
                cron.enqueue_jobs()
            except ServerError:
                died += 1
        proxy.close()
        successor = scheduler(connection, "lives")
        for name in ("tasks.a", "tasks.b"):
            successor.register(name, "default", interval=3600)
        successor.enqueue_jobs()
        assert sorted(job.func_name for job in queue.jobs) == ["tasks.a", "tasks.b"], f"dead at call {number}"
        for name in ("tasks.a", "tasks.b"):
            assert set(get_cron_job_ids(name, connection)) == {job.id for job in queue.jobs if job.func_name == name}
    assert 3 <= died < 8, "the deaths were not where the calls are"


# -- processes -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(
    number: signal.Signals, connection: redis.Redis, queue: Queue, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "crontab.py").write_text(CONFIG)
    process = start("cron", "crontab.py", "--name", "mine")
    until(lambda: len(queue) > 0, 30, "the first job")
    (shown,) = CronScheduler.all(connection)
    assert (shown.name, shown.pid, shown.config_file) == ("mine", process.pid, "crontab.py")
    process.send_signal(number)
    out, error = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert error.rstrip().endswith("cron scheduler mine has stopped")
    assert "Traceback" not in error
    assert CronScheduler.all(connection) == []


@pytest.mark.slow
def test_a_scheduler_waits_for_a_stopped_server(start: Start, tmp_path: Path) -> None:
    server = PrivateServer().start(appendonly=True)
    try:
        (tmp_path / "crontab.py").write_text(CONFIG)
        process = start("cron", "crontab.py", FLOWQ_REDIS_URL=server.url)
        with server.client() as client:
            until(lambda: client.zcard("{flowq}:cron-jobs:tick"), 30, "the first job")
        server.kill9()
        server.restart()
        with server.client() as client:
            before = client.zcard("{flowq}:cron-jobs:tick")
            until(lambda: client.zcard("{flowq}:cron-jobs:tick") > before, 30, "more jobs")
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=20)
        assert process.returncode == 0, error
        assert "Traceback" not in error
        assert error.count("it is waited for") <= 3
    finally:
        server.stop()


BROKEN = {
    "import nonesuch\n": "broken.py, line 1: ModuleNotFoundError: No module named 'nonesuch'",
    "def f(:\n": "broken.py, line 1: invalid syntax",
    "from flowq.cron import register\n\nregister(print, 'q', cron='61 * * * *')\n": "broken.py, line 3: cron: wrong minute",
    "from flowq.cron import register\nregister(lambda: 1, 'q', interval=5)\n": "broken.py, line 2: <function <lambda>",
    "from flowq.cron import register\nregister(print, 'q')\n": "broken.py, line 2: a cron job needs either interval=",
    "from flowq.cron import register\nregister(print, 'q', interval=5, ttl='soon')\n": "broken.py, line 2: ttl='soon': expected a duration",
    "from flowq.cron import register\nregister(print, 'q', interval=5, unique=True)\n": "broken.py, line 2: unique=… is of one job",
    "x = 1\n": "the cron configuration broken.py registers nothing",
    "from flowq.cron import register\nregister(print, 'q', interval=5, nonsense=1)\n": "broken.py, line 2: a cron job has no option nonsense=",
    "raise SystemError('no')\n": "broken.py, line 1: SystemError: no",
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_configuration_ends_in_one_sentence(
    text: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    code, out, error = command("cron", "broken.py")
    assert (code, out) == (2, "")
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert BROKEN[text] in error


def test_a_configuration_can_be_checked_without_a_server(start: Start, tmp_path: Path) -> None:
    (tmp_path / "crontab.py").write_text(
        "from flowq.cron import register\n"
        "register('tasks.clean_up', 'maintenance', interval='30m')\n"
        "register('tasks.send_report', 'mails', cron='30 6 1 1 *', timezone='Europe/Berlin')\n"
        "register('tasks.other', 'mails', cron='0 0 1 7 *')\n"
    )
    process = start(
        "cron", "crontab.py", "--check", "--timezone", "America/New_York", FLOWQ_REDIS_URL="redis://nowhere.invalid:1"
    )
    out, error = process.communicate(timeout=30)
    assert (process.returncode, error) == (0, "")
    year = datetime.now(UTC).year + 1
    lines = [re.split(r"  +", line) for line in out.splitlines()]
    assert lines[0] == ["NAME", "QUEUE", "WHEN", "NEXT"]
    assert lines[1] == ["tasks.clean_up", "maintenance", "every 30m", "at once"]
    assert lines[2] == ["tasks.send_report", "mails", "'30 6 1 1 *' (Europe/Berlin)", f"{year}-01-01 06:30:00 +0100"]
    assert lines[3][2] == "'0 0 1 7 *' (America/New_York)"
    assert lines[3][3].endswith("-07-01 00:00:00 -0400")


def test_configurations_by_file_and_by_name(connection: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_cron"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "crontab.py").write_text("from flowq import cron\ndef f(): ...\ncron.register(f, 'q', interval=1)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for form in (
        "package_of_cron.crontab",
        "package_of_cron/crontab.py",
        "package_of_cron/crontab",
        str(package / "crontab.py"),
    ):
        cron = scheduler(connection)
        cron.load_config_from_file(form)
        assert [job.func_name for job in cron.get_jobs()] == ["package_of_cron.crontab.f"], form
    elsewhere = tmp_path / "not a package" / "x.py"
    elsewhere.parent.mkdir()
    elsewhere.write_text("from flowq import cron\ndef f(): ...\ncron.register(f, 'q', interval=1)\n")
    with pytest.raises(UsageError, match=r"f is defined in .*x\.py, which workers cannot import"):
        scheduler(connection).load_config_from_file(str(elsewhere))
    for missing in ("nowhere.py", "nowhere", "package_of_cron.nowhere", "./nowhere"):
        with pytest.raises(UsageError, match="there is no cron configuration"):
            scheduler(connection).load_config_from_file(missing)


# -- the registry --------------------------------------------------------------------------------------------------------------


def test_schedulers_are_listed_while_they_live(connection: redis.Redis) -> None:
    cron = scheduler(connection, "one")
    cron.register(samples.add, "default", (1, {2}), interval="5m", name="sum")
    cron.register("tasks.b", "low", cron="30 2 * * *", timezone="Europe/Berlin", catch_up=False, ttl=9, meta={"a": 1}, retry=2)
    assert cron.last_heartbeat is None
    cron.register_birth()
    cron.enqueue_jobs()
    shown = CronScheduler.fetch("one", connection)
    assert (shown, shown.hostname, shown.pid) == (cron, cron.hostname, cron.pid)
    assert shown.created_at == cron.created_at
    assert [job.to_dict() for job in shown.get_jobs()] == [job.to_dict() for job in cron.get_jobs()]
    assert shown.get_jobs()[1].job_options == {"result_ttl": 500.0, "ttl": 9, "meta": {"a": 1}}
    assert [job.when() for job in shown.get_jobs()] == ["every 5m", "'30 2 * * *' (Europe/Berlin)"]
    assert shown.last_heartbeat is not None
    assert (datetime.now(UTC) - shown.last_heartbeat).total_seconds() < 30
    assert CronScheduler.all(connection) == [cron]
    cron.register_death()
    assert CronScheduler.all(connection) == []
    with pytest.raises(SchedulerNotFound, match="no cron scheduler 'one' is alive"):
        CronScheduler.fetch("one", connection)


def test_a_zone_without_a_name_is_shown_unchanged(connection: redis.Redis) -> None:
    cron = scheduler(connection, "one")
    cron.register("tasks.b", "low", cron="30 2 * * *", timezone=timezone(timedelta(hours=2)))
    cron.register_birth()
    (shown,) = CronScheduler.fetch("one", connection).get_jobs()
    assert shown.next_enqueue_time == cron.get_jobs()[0].next_enqueue_time
    assert shown.next_enqueue_time is not None
    assert (shown.next_enqueue_time.hour, shown.next_enqueue_time.minute) == (0, 30)


def test_the_registries_of_rq(connection: redis.Redis) -> None:
    cron = scheduler(connection, "one")
    cron.register(samples.add, "default", (1,), interval=60, name="sum")
    cron.register("tasks.b", "default", cron="@yearly")
    cron.enqueue_jobs()
    assert cron_job_registry.get_names(connection) == ["sum"]
    assert cron_scheduler_registry.get_keys(connection) == ["one"]


def test_a_scheduler_without_heartbeats_is_not_listed(connection: redis.Redis) -> None:
    scheduler(connection, "silent").register_birth()
    connection.zadd("{flowq}:schedulers", {"silent": time.time() * 1000 - 61_000})
    assert CronScheduler.all(connection) == []
    scheduler(connection, "other").register_birth()
    assert connection.exists("{flowq}:scheduler:silent") == 0


def test_a_name_is_taken_while_its_holder_lives(connection: redis.Redis, start: Start, tmp_path: Path) -> None:
    first = scheduler(connection, "mine")
    first.register_birth()
    with pytest.raises(DuplicateSchedulerError, match=r"another cron scheduler named 'mine' is alive \(process \d+ on "):
        scheduler(connection, "mine").register_birth()
    (tmp_path / "crontab.py").write_text(CONFIG)
    process = start("cron", "crontab.py", "--name", "mine")
    _, error = process.communicate(timeout=30)
    assert process.returncode == 2
    assert error.splitlines()[-1].startswith("error: another cron scheduler named 'mine' is alive")
    first.register_death()
    scheduler(connection, "mine").register_birth()


def test_create_cron_uses_the_entries_of_this_process(connection: redis.Redis) -> None:
    create_cron(connection)
    register(samples.add, "default", args=(1,), interval=60)
    assert [job.func_name for job in create_cron(connection).get_jobs()] == ["tests.api.samples.add"]
    assert create_cron(connection).get_jobs() == []


def test_arguments_that_cannot_be_stored_are_refused_at_once(connection: redis.Redis) -> None:
    cron = scheduler(connection)
    with pytest.raises(UsageError, match="cannot be pickled"):
        cron.register(samples.add, "default", args=(lambda: 1,), interval=60)
    assert cron.get_jobs() == []


# -- beside RQ's ---------------------------------------------------------------------------------------------------------------


LEFT_OUT = {"CronScheduler": {"key", "save", "restore"}, "CronJob": {"job_history_key"}}  # docs/moving-from-rq.md says why


def parameters(function: Any) -> dict[str, Any]:
    """Return the positional parameters of a function, with their defaults."""
    found = inspect.signature(function).parameters.values()
    return {item.name: item.default for item in found if item.kind is item.POSITIONAL_OR_KEYWORD and item.name != "self"}


@pytest.mark.parametrize(
    "name",
    [
        *("register", "create_cron", "get_cron_job_ids", "CronJob", "CronJob.enqueue", "CronJob.get_job_ids", "CronScheduler"),
        *("CronScheduler.register", "CronScheduler.fetch", "CronScheduler.all", "CronScheduler.start"),
        *("CronScheduler.enqueue_jobs", "CronScheduler.load_config_from_file", "CronScheduler.calculate_sleep_interval"),
    ],
)
def test_callables_take_the_arguments_of_rq(name: str) -> None:
    theirs, ours = (operator.attrgetter(name)(importlib.import_module(f"{package}.cron")) for package in ("rq", "flowq"))
    wanted, given = parameters(theirs), parameters(ours)
    assert list(given)[: len(wanted)] == list(wanted)
    assert {key: value for key, value in wanted.items() if value is not inspect.Parameter.empty and given[key] != value} == {}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_classes_have_rqs_members(name: str, connection: redis.Redis) -> None:
    def members(package: str, client: Any) -> set[str]:
        module = importlib.import_module(f"{package}.cron")
        made = module.CronScheduler(client, "ERROR") if name == "CronScheduler" else module.CronJob("q", print, interval=5)
        return {item for item in dir(made) if not item.startswith("_")}

    assert members("rq", connection) - members("flowq", connection) == LEFT_OUT[name]


def test_the_connection_may_come_with_the_first_entry(connection: redis.Redis, queue: Queue, tmp_path: Path) -> None:
    """As in django-rq's scheduler, whose `register` has only the arguments that RQ's once had."""

    class Late(CronScheduler):
        def register(  # type: ignore[override]
            self, func: Any, queue_name: str, interval: int | None = None, result_ttl: float = 500
        ) -> CronJob:
            self.connection = connection
            return super().register(func, queue_name, interval=interval, result_ttl=result_ttl)

    config = tmp_path / "late_config.py"
    config.write_text("from flowq import cron\ncron.register('tests.api.samples.nothing', 'default', interval=60)\n")
    scheduler = Late()
    scheduler.load_config_from_file(str(config))
    assert scheduler.connection is connection
    scheduler.enqueue_jobs()
    assert queue.count == 1
