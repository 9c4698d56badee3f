"""The commands and the cron configuration of an application written for RQ do the same on flowq.

Both run on one server, in folders that differ in the imports alone.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from tests.api.test_rq_application import ROOT
from tests.support.wait import until

FILES: Final = {
    "jobs.py": """
import os
from pathlib import Path
from rq.job import Job


def echo(*args, **kwargs):
    return [list(args), kwargs]


def tick(what, times=1):
    return what * times


def broken():
    raise ValueError("no such customer")


def note(job, kind, value, traceback):
    with Path(os.environ["APP_LOG"]).open("a") as file:
        file.write(f"{job.func_name} {kind.__name__}: {value}\\n")
    return True


class OwnJob(Job):
    def perform(self):
        return ["own", super().perform()]
""",
    "crontab.py": """
from rq import cron
from jobs import tick

cron.register(tick, queue_name="hourly", args=("hour",), kwargs={"times": 2}, interval=3600, job_timeout=7, meta={"a": 1})
cron.register(tick, "secondly", ("second",), cron="* * * * * */1", result_ttl=77, name="every second")
cron.register(tick, "yearly", ("year",), cron="0 0 1 1 *")
""",
    "settings.py": """
import os

REDIS_URL = "unix://" + os.environ["APP_SOCKET"]
QUEUES = ["high", "default"]
NAME = "from settings"
""",
    "look.py": """
import json
import os
import sys

from redis import Redis
from rq import Queue
from rq.cron import CronScheduler, get_cron_job_ids
from rq.job import Job

connection = Redis(unix_socket_path=os.environ["APP_SOCKET"])


def jobs(*ids):
    return [job(id) for id in ids]


def job(id):
    it = Job.fetch(id, connection=connection)
    return [it.func_name, list(it.args), it.kwargs, it.origin, it.timeout, it.result_ttl, it.meta, it.return_value()]


def cron():
    shown = []
    for scheduler in CronScheduler.all(connection=connection):
        for entry in scheduler.get_jobs():
            due = entry.next_enqueue_time
            shown.append([entry.name, entry.func_name, entry.queue_name, list(entry.args), entry.interval, entry.cron])
            shown[-1] += [entry.latest_enqueue_time is not None, (due.month, due.day) if entry.queue_name == "yearly" else None]
    return shown


def queues():
    names = ("hourly", "secondly", "yearly")
    first = [Queue(name, connection=connection).job_ids[:1] for name in names]
    listed = get_cron_job_ids("every second", connection)
    return [len(listed) > 1, listed == Queue("secondly", connection=connection).job_ids[::-1][:len(listed)]] + [
        [job(id) for id in ids] for ids in first
    ]


print(json.dumps({"jobs": jobs, "cron": cron, "queues": queues}[sys.argv[1]](*sys.argv[2:])))
""",
    "data.json": '{"rows": [1, 2]}',
    "literal.txt": "(1, 'two', None)",
    "mail.txt": "hello\n",
}
MODULES: Final = {"rq": "rq.cli", "flowq": "flowq.cli.main"}


class Application:
    """The application on one of the two packages."""

    def __init__(self, package: str, folder: Path, socket: str) -> None:
        self.package = package
        self._folder = folder
        self._env = {**os.environ, "APP_SOCKET": socket, "APP_LOG": str(folder / "log"), "PYTHONPATH": str(ROOT)}
        self._running: list[subprocess.Popen[str]] = []
        folder.mkdir()
        for name, text in FILES.items():
            (folder / name).write_text(re.sub(r"^from rq\b", f"from {package}", text, flags=re.MULTILINE), encoding="utf-8")

    def start(self, *arguments: str, module: str = "") -> "subprocess.Popen[str]":
        """Start a command of the package."""
        command = [sys.executable, "-P", "-m", module or MODULES[self.package], *arguments]
        if self.package == "flowq" and arguments[:1] == ("worker",):
            command = ["--config" if item == "-c" else item for item in command]  # as in the moving guide
        self._running.append(
            subprocess.Popen(
                command,
                cwd=self._folder,
                env=self._env,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self._running[-1]

    def run(self, *arguments: str) -> str:
        """Run a command of the package; return what it printed."""
        process = self.start(*arguments)
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        return out

    def look(self, *arguments: str) -> Any:
        """Return the output of `look.py`."""
        command = [sys.executable, "look.py", *arguments]
        done = subprocess.run(command, cwd=self._folder, env=self._env, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout)

    @property
    def log(self) -> list[str]:
        """Return the lines of the exception handler."""
        path = self._folder / "log"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        """Kill the remaining processes."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def applications(redis_client: redis.Redis, tmp_path: Path) -> Iterator[list[Application]]:
    socket = redis_client.connection_pool.connection_kwargs["path"]
    made = [Application(package, tmp_path / f"{package}-app", socket) for package in MODULES]
    yield made
    for application in made:
        application.close()


ENQUEUED: Final = {
    "first": ["abc", "key=value", ':{"json": "abc"}', 'json:={"json": "abc"}', ":@data.json", "file:=@data.json"],
    "second": ["%1, 2", "%None", "key%={'a': (1, 2)}", "%@literal.txt", "@mail.txt", "body=@mail.txt"],
}


@pytest.mark.slow
@pytest.mark.timeout(240)  # about twenty processes, one after the other
def test_enqueue_worker_and_requeue(applications: list[Application]) -> None:
    seen = []
    options = ("--timeout", "1m", "-q", "high", "--result-ttl", "2m")
    for application in applications:
        for name, arguments in ENQUEUED.items():
            application.run("enqueue", "-c", "settings", "jobs.echo", *arguments, "--job-id", name, *options)
        application.run(*("enqueue", "-c", "settings", "jobs.broken", "--job-id", "bad", "--quiet"))
        application.run(*("enqueue", "-c", "settings", "jobs.echo", ":1", "--job-id", "own", "-S", "json", "-q", "json"))
        later = ("--schedule-in", "1h", "--at-front", "--retry-max", "2", "--retry-interval", "5", "--result-ttl", "30")
        application.run("enqueue", "-c", "settings", "jobs.echo", "--job-id", "later", *later)
        worker = ("worker", "-c", "settings", "--burst", "-P", ".", "--max-jobs", "20", "-q")
        application.run(*worker, "--exception-handler", "jobs.note", "--results-ttl", "99", "-s")
        application.run(*worker, "-j", "jobs.OwnJob", "-S", "json", "json", "-n", "second", "-ds", "round_robin")
        requeued = application.run("requeue", "-c", "settings", "--queue", "default", "--all")
        emptied = application.run("empty", "-c", "settings", "default")
        counts = [int(text) for text in re.findall(r"\b(\d+)\b job", requeued + emptied)]
        raw = re.sub(r"\b[\w.]+\.\d+\b", "", application.run("info", "-c", "settings", "-r", "-Q", "high", "default"))
        seen.append([application.look("jobs", *ENQUEUED, "later"), application.log, counts[:1] + counts[-1:], raw])
    theirs, ours = seen
    assert ours == theirs
    assert [job[-1] for job in ours[0]] == [
        [["abc", {"json": "abc"}, {"rows": [1, 2]}], {"key": "value", "json": {"json": "abc"}, "file": {"rows": [1, 2]}}],
        [[[1, 2], None, [1, "two", None], "hello\n"], {"key": {"a": [1, 2]}, "body": "hello\n"}],
        None,
    ]
    assert ours[1] == ["jobs.broken ValueError: no such customer"]
    assert ours[2] == [1, 1]
    assert "queue high 0, 0 executing, 2 finished, 0 failed" in ours[3]


@pytest.mark.slow
def test_a_cron_configuration(applications: list[Application]) -> None:
    seen = []
    for application in applications:
        process = application.start("cron", "crontab.py", "-c", "settings", "-l", "DEBUG", "-P", ".")
        until(lambda application=application: application.look("queues")[0], 60, "jobs")  # type: ignore[misc]
        seen.append([application.look("queues"), application.look("cron")])
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert application.look("cron") == []
    theirs, ours = seen
    assert ours == theirs
    hourly = ["jobs.tick", ["hour"], {"times": 2}, "hourly", 7, 500, {"a": 1}, None]
    secondly = ["jobs.tick", ["second"], {}, "secondly", 180, 77, {}, None]
    assert ours[0] == [True, True, [hourly], [secondly], []]
    assert ours[1] == [
        ["jobs.tick", "jobs.tick", "hourly", ["hour"], 3600, None, True, None],
        ["every second", "jobs.tick", "secondly", ["second"], None, "* * * * * */1", True, None],
        ["jobs.tick", "jobs.tick", "yearly", ["year"], None, "0 0 1 1 *", False, [1, 1]],
    ]
