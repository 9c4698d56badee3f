"""The commands for plain queues: enqueue, requeue, empty, info, suspend, resume."""

import json
import os
import re
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pexpect
import pytest
import redis

from flowq import Queue, RateLimit, Worker
from flowq.cli.options.config_module import url_of
from flowq.connections.clients import _client
from flowq.cron import CronScheduler
from flowq.job import Job
from flowq.suspension import is_suspended
from tests.api import samples
from tests.api.conftest import Background, Command
from tests.cli.process import on_terminal
from tests.support.wait import until


def test_enqueue(command: Command, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("from a file")
    arguments = [
        "5",
        ":[1, null]",
        "%(1, 2)",
        f"@{tmp_path}/text",
        "a=b=c",
        "n:=3",
        "t%={'x': 1}",
        f"f=@{tmp_path}/text",
        "1=x",
    ]
    code, out, _ = command("enqueue", "tests.api.samples.echo", *arguments)
    assert code == 0
    Worker([queue]).work(burst=True)
    job = Job.fetch(out.strip(), connection=queue.connection)
    expected = {"a": "b=c", "n": 3, "t": {"x": 1}, "f": "from a file"}
    assert job.result == (("5", [1, None], (1, 2), "from a file", "1=x"), expected)


def test_enqueue_with_every_option(command: Command, connection: redis.Redis) -> None:
    low = Queue("low", connection=connection)
    first, second = low.enqueue(samples.add, 1), low.enqueue(samples.add, 1)
    code, out, error = command(
        *("enqueue", "tests.api.samples.add", ":1", "-q", "low", "--timeout", "5m", "--result-ttl", "1h", "--ttl", "2h"),
        *(
            "--failure-ttl",
            "3h",
            "--description",
            "text",
            "--depends-on",
            first.id,
            "--depends-on",
            second.id,
            "--job-id",
            "mine",
        ),
        *("--retry-max", "3", "--retry-interval", "1", "--retry-interval", "2", "--at-front"),
    )
    assert (code, out) == (0, "mine\n"), error
    job = Job.fetch("mine", connection=connection)
    assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (300, 3600, 7200, 10800)
    assert (job.description, job.dependency_ids, job.retries_left, job.origin) == ("text", [first.id, second.id], 3, "low")


def test_enqueue_later(command: Command, queue: Queue) -> None:
    _, soon, _ = command("enqueue", "tests.api.samples.nothing", "--schedule-in", "1h")
    _, at, _ = command("enqueue", "tests.api.samples.nothing", "--schedule-at", "2099-01-01T00:00:00+00:00")
    registry = queue.scheduled_job_registry
    assert abs(registry.get_scheduled_time(soon.strip()) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    assert registry.get_scheduled_time(at.strip()) == datetime(2099, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["f.g", ":{"], "Unable to parse 1. non keyword argument as JSON. Found '{', expected JSON"),
        (["f.g", "x", "y:={"], "Unable to parse y as JSON."),
        (["f.g", "x", "%open()"], "Unable to eval 2. non keyword argument as Python object."),
        (["f.g", "x=1", "x=2"], "You can't specify multiple values for the same keyword. x is given twice"),
        (["f.g", "@/nowhere/at/all"], "Not found: there is no such file"),
        (["f.g", "@/"], "cannot be read"),
        (["f.g", "--timeout", "soon"], "expected a duration"),
        (["f.g", "--schedule-at", "soon"], "expected a time such as"),
        (
            ["f.g", "--schedule-at", "2099-01-01", "--schedule-in", "5"],
            "You can't specify both --schedule-in and --schedule-at",
        ),
        (["f.g", "--depends-on", "missing"], "'missing'"),
    ],
)
def test_enqueue_reports_wrong_arguments(command: Command, queue: Queue, arguments: list[str], text: str) -> None:
    code, out, error = command("enqueue", *arguments)
    assert (code, out, len(queue)) == (2, "", 0)
    assert text in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("content", [b"{hunter2", b"hunter2()", b"'hunter2", b"hunter2 \xff"])
@pytest.mark.parametrize("mark", [":", "%"])
def test_enqueue_does_not_quote_a_file(command: Command, tmp_path: Path, content: bytes, mark: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    code, _, error = command("enqueue", "f.g", f"{mark}@{tmp_path / 'secret'}")
    assert code == 2
    assert "hunter2" not in error
    assert str(tmp_path / "secret") in error


def test_requeue_reports_jobs_that_could_not_be_requeued(command: Command, queue: Queue) -> None:
    jobs = [queue.enqueue(samples.div_by_zero, 1) for _ in range(2)]
    Worker([queue]).work(burst=True)
    code, out, error = command("requeue", jobs[0].id, "missing")
    assert (code, out) == (1, "requeued 1 job in queue default\n")
    assert "'missing'" in error
    assert "Traceback" not in error
    assert command("requeue", "--all")[:2] == (0, "requeued 1 job in queue default\n")
    assert command("requeue")[0] == 0
    assert command("requeue", "x", "--all")[0] == 2


def test_empty(command: Command, connection: redis.Redis) -> None:
    queues = [Queue(name, connection=connection) for name in "abc"]
    for queue in queues:
        queue.enqueue(samples.add, 1)
    assert command("empty", "a", "b")[1] == "deleted 1 job of queue a\ndeleted 1 job of queue b\n"
    assert [len(queue) for queue in queues] == [0, 0, 1]
    assert command("empty", "--all")[0] == 0
    assert len(queues[2]) == 0
    assert command("empty")[:2] == (0, "nothing to do: name the queues to empty, or --all\n")
    for queue in queues:
        queue.delete()
    assert command("empty", "--all")[:2] == (0, "nothing to do: there is no queue\n")


def test_info_counts_jobs_that_wait_for_a_rate_limit(command: Command, queue: Queue) -> None:
    for number in range(3):
        queue.enqueue(samples.add, number, rate_limit=RateLimit("a", 1))
    assert command("info")[1].endswith(
        "2 jobs waiting for a rate limit\n\nno workers: `flowq worker` starts one\n\n1 queues, 1 jobs total\n"
    )
    assert json.loads(command("info", "--json")[1])["queues"][0]["rate_limited"] == 2


def test_info_shows_what_workers_do_now(
    command: Command, queue: Queue, background: Callable[..., Background], tmp_path: Path
) -> None:
    """Not what they did at their last heartbeat."""

    def shown() -> tuple[str, int] | None:
        workers = json.loads(command("info", "--json")[1])["workers"]
        return (workers[0]["state"], workers[0]["busy"]) if workers else None

    background(lambda: Worker([queue]))
    until(lambda: shown() == ("idle", 0), timeout=20)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go"))
    until((tmp_path / "go.started").exists, timeout=20)
    assert shown() == ("busy", 1)
    assert "busy  1/1 slot" in command("info")[1]
    (tmp_path / "go").touch()
    until(lambda: job.is_finished)
    assert shown() == ("idle", 0)


def test_info_counts_skipped_jobs(command: Command, queue: Queue) -> None:
    queue.enqueue(samples.add, 1, depends_on=queue.enqueue(samples.div_by_zero, 1))
    assert "skipped" not in command("info")[1]
    Worker([queue]).work(burst=True)
    assert "1 job skipped, because a job before did not succeed" in command("info")[1]
    (shown,) = json.loads(command("info", "--json")[1])["queues"]
    assert (shown["skipped"], shown["failed"], shown["deferred"]) == (1, 1, 0)


def test_info(command: Command, queue: Queue, background: Callable[..., Background]) -> None:
    assert "no queues" in command("info")[1]
    assert command("info")[1].endswith("\n0 queues, 0 jobs total\n")
    queue.enqueue(samples.div_by_zero, 1)
    Worker([queue]).work(burst=True)
    other = Queue("other", connection=queue.connection)
    other.enqueue(samples.add, 1)
    background(lambda: Worker([queue], name="w1"))
    until(lambda: Worker.count(queue.connection) == 1)
    _, out, _ = command("info")
    assert out.endswith("\n2 queues, 1 jobs total\n")
    assert "w1" in out
    assert "default: w1 (idle)\nother: no worker" in command("info", "--by-queue")[1]
    assert "w1" not in command("info", "--only-queues")[1]
    assert "QUEUE" not in command("info", "--only-workers")[1]
    assert "other" not in command("info", "default")[1]
    document = json.loads(command("info", "--json")[1])
    assert [(item["name"], item["queued"], item["failed"], item["workers"]) for item in document["queues"]] == [
        ("default", 0, 1, 1),
        ("other", 1, 0, 0),
    ]
    assert [item["name"] for item in document["workers"]] == ["w1"]


def test_suspend_and_resume(command: Command, queue: Queue) -> None:
    assert command("resume")[1] == "workers were not suspended\n"
    code, out, error = command("suspend", "--duration", "0")
    assert (code, out) == (1, "")
    assert "Duration must be an integer greater than 1" in error
    assert command("suspend", "--duration", "10m")[1] == "workers are suspended for 10m\n"
    assert is_suspended(queue.connection)
    assert "suspended" in command("info")[1]
    assert command("resume")[1] == "workers resumed\n"
    assert not is_suspended(queue.connection)


def test_info_prints_the_lines_of_rq(command: Command, queue: Queue, background: Callable[..., Background]) -> None:
    queue.enqueue(samples.div_by_zero, 1)
    Worker([queue]).work(burst=True)
    worker = background(lambda: Worker([queue], name="w1"))
    until(lambda: Worker.count(queue.connection) == 1)
    _, out, _ = command("info", "--raw")
    assert out == (
        "queue default 0, 0 executing, 0 finished, 1 failed\n"
        f"worker w1 ({socket.gethostname()} {worker.pid}) idle default. jobs: 0 finished, 0 failed\n"
    )
    assert command("info", "--raw", "-W", "-R")[1] == "default: w1 (idle)\n"
    assert command("info", "--raw", "--json")[0] == 2


def test_info_lists_cron_schedulers(command: Command, queue: Queue) -> None:
    cron = CronScheduler(queue.connection, "ERROR", "nightly")
    cron.register(samples.add, "default", cron="0 0 1 1 *", timezone="UTC")
    cron.register_birth()
    cron.enqueue_jobs()
    cron.heartbeat()
    _, out, _ = command("info")
    assert re.search(r"^nightly  cron    1 entry, next at \d{4}-01-01 00:00:00 UTC$", out, re.MULTILINE)
    (shown,) = json.loads(command("info", "--json")[1])["schedulers"]
    assert (shown["name"], shown["pid"], shown["entries"][0]["cron"]) == ("nightly", os.getpid(), "0 0 1 1 *")
    cron.register_death()
    assert "cron" not in command("info")[1]


def test_enqueue_reads_files_in_every_form(command: Command, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('{"a": [1]}')
    (tmp_path / "literal").write_text("(1, 'x')")
    _, out, _ = command(
        *("enqueue", "tests.api.samples.echo", f":@{tmp_path}/data.json", f"%@{tmp_path}/literal"),
        *(f"j:=@{tmp_path}/data.json", f"l%=@{tmp_path}/literal", f"t=@{tmp_path}/literal", "http://x/?a=b"),
    )
    job = Job.fetch(out.strip(), queue.connection)
    assert job.args == ({"a": [1]}, (1, "x"), "http://x/?a=b")
    assert job.kwargs == {"j": {"a": [1]}, "l": (1, "x"), "t": "(1, 'x')"}
    assert command("enqueue", "f.g", "a=1", "a:=2")[0] == 2
    assert command("enqueue", "f.g", "--quiet")[:2] == (0, "")


def test_enqueue_with_classes_and_a_serializer(command: Command, queue: Queue) -> None:
    code, out, error = command(
        *("enqueue", "tests.api.samples.add", ":1", "-S", "json"),
        *("--job-class", "tests.api.classes.OwnJob", "--queue-class", "tests.api.classes.OwnQueue"),
    )
    assert code == 0, error
    assert queue.connection.get(f"{{flowq}}:payload:{out.strip()}") == b'["tests.api.samples.add",[1],{}]'
    code, _, error = command("enqueue", "f.g", "--job-class", "tests.api.classes.missing")
    assert (code, error.count("\n")) == (2, 1)


# -- settings ------------------------------------------------------------------------------------------------------------------


def test_a_settings_module_names_the_server(
    command: Command, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = os.environ["FLOWQ_REDIS_URL"]
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://nowhere.invalid:1")
    (tmp_path / "settings_of_a_test.py").write_text(f"REDIS_URL = {url!r}\nlower = 1\n")
    queue.enqueue(samples.add, 1)
    monkeypatch.chdir(tmp_path)
    assert "1 jobs total" in command("info", "-c", "settings_of_a_test")[1]
    assert "1 jobs total" in command("info", "--config", "settings_of_a_test.py")[1]
    monkeypatch.chdir("/")
    assert "1 jobs total" in command("info", "-c", "settings_of_a_test", "-P", str(tmp_path))[1]
    monkeypatch.setenv("FLOWQ_CONFIG", str(tmp_path / "settings_of_a_test.py"))
    assert command("empty", "default")[:2] == (0, "deleted 1 job of queue default\n")
    assert command("info", "-u", url)[0] == 0
    assert command("-u", "redis://nowhere.invalid:1", "info")[0] == 6, "-u goes before the settings"
    assert command("suspend", "-P", str(tmp_path))[0] == command("resume")[0] == 0


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"REDIS_URL": "redis://a"}, "redis://a"),
        ({"QUEUES": ["a"]}, None),
        ({"REDIS_HOST": "db"}, "redis://db:6379/0"),
        ({"REDIS_PORT": 6380, "REDIS_DB": 3, "REDIS_PASSWORD": "a/b@c"}, "redis://:a%2Fb%40c@localhost:6380/3"),
        ({"REDIS_HOST": "db", "REDIS_SSL": True, "REDIS_SSL_CA_CERTS": "/ca"}, "rediss://db:6379/0?ssl_ca_certs=%2Fca"),
        ({"REDIS_HOST": "db", "REDIS_SSL": "no"}, "redis://db:6379/0"),
        ({"SENTINEL": {}}, "redis+sentinel://localhost:26379/mymaster/0"),
        (
            {
                "SENTINEL": {
                    "INSTANCES": [("s1", 1), ("s2", 2)],
                    "MASTER_NAME": "main",
                    "DB": 2,
                    "PASSWORD": "pw",
                    "SOCKET_TIMEOUT": 3,
                    "SENTINEL_KWARGS": {"password": "spw"},
                    "CONNECTION_KWARGS": {"ssl_ca_certs": "/ca", "socket_connect_timeout": None},
                    "SSL": True,
                }
            },
            "rediss+sentinel://:pw@s1:1,s2:2/main/2?sentinel_password=spw&socket_timeout=3&ssl_ca_certs=%2Fca",
        ),
    ],
)
def test_the_address_in_settings(settings: dict[str, Any], url: str | None) -> None:
    assert url_of(settings, "settings") == url
    if url is not None:
        _client(url, "flowq").close()  # the address is usable


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 +", "line 1: "),
        ("import nonesuch", "line 1: ModuleNotFoundError: No module named 'nonesuch'"),
        ("REDIS_URL = 5", "REDIS_URL must be a string, found 5"),
        ("REDIS_HOST = 'h'\nREDIS_SSL = 'perhaps'", "REDIS_SSL must be true or false, found 'perhaps'"),
        ("SENTINEL = {'INSTANCES': ['x']}", "SENTINEL['INSTANCES'] must be a list of (host, port)"),
        ("SENTINEL = 'x'", "SENTINEL must be a dictionary"),
        ("SENTINEL = {'CONNECTION_KWARGS': 5}", "SENTINEL['CONNECTION_KWARGS'] must be a dictionary, found 5"),
        ("SENTINEL = {'CONNECTION_KWARGS': {'decode_responses': True}}", "unknown option 'decode_responses'"),
        ("REDIS_URL = 'ftp://x'", "'ftp://x' is not a server's address"),
    ],
)
def test_broken_settings_end_in_one_sentence(command: Command, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "broken_settings.py").write_text(text)
    code, out, error = command("info", "-c", str(tmp_path / "broken_settings.py"))
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


def test_watching_ends_with_ctrl_c(queue: Queue, tmp_path: Path) -> None:
    url = f"unix://{queue.connection.connection_pool.connection_kwargs['path']}"
    queue.enqueue(samples.add, 1)
    terminal = on_terminal("info", "--interval", "0.2", cwd=tmp_path, env={"FLOWQ_REDIS_URL": url})
    terminal.expect("1 jobs total")
    queue.enqueue(samples.add, 1)
    terminal.expect("2 jobs total")
    terminal.sendintr()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None)
    assert "Traceback" not in (terminal.before or "")
