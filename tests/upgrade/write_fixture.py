"""Writes the data directory `data_f5782f9`, with the flowq of the interpreter that executes it.

    git clone . old && git -C old checkout f5782f9 && make -C old -s .venv/.stamp-run
    old/.venv/bin/python tests/upgrade/write_fixture.py tests/upgrade/data_f5782f9

It leaves `home.tar.gz`, the directory of the embedded server after a clean stop, and `expected.json`, what the flowq that wrote it
reads there. See the package's essay for what is in it.
"""

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

FAR: Final = datetime(2100, 1, 1, tzinfo=UTC)
SOON: Final = 60  # s: later than the writing ends, earlier than the data is read
LATER: Final = "later"  # the queue that no worker serves here
ABSENT: Final = "http://127.0.0.1:9"  # a proxy at which nothing listens


@dataclass
class Writer:
    """The embedded server of a new home, and the processes that use it."""

    home: Path
    place: Path
    client: Any = None
    started: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def environment(self, *, served: bool = True) -> dict[str, str]:
        """Return the variables of a command; `served`: its runs are executed by the workers of their queues, not by one of their own."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("FLOWQ_")}
        url = {"FLOWQ_REDIS_URL": f"unix://{self.home}/server.sock"} if served else {}
        return {**own, "FLOWQ_HOME": str(self.home), "FLOWQ_LINGER": "1", "http_proxy": ABSENT, **url}

    def call(self, *arguments: str, code: int = 0, served: bool = True, env: Mapping[str, str] | None = None) -> str:
        """Return what `flowq` prints; it must end with this code."""
        command = [sys.executable, "-m", "flowq.cli.main", *arguments]
        environment = {**self.environment(served=served), **(env or {})}
        done = subprocess.run(command, cwd=self.place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, served: bool = True) -> "subprocess.Popen[bytes]":
        """Start `flowq` in the background."""
        command = [sys.executable, "-m", "flowq.cli.main", *arguments]
        process = subprocess.Popen(command, cwd=self.place, env=self.environment(served=served), start_new_session=True)
        self.started.append(process)
        return process

    def submit(self, flow: str, run: str) -> None:
        """Submit a run for the workers of its queues."""
        self.call("run", f"{flow}.yaml", "--run-id", run, "--detach")

    def status(self, run: str) -> dict[str, Any]:
        """Return `flowq status --json`."""
        document: dict[str, Any] = json.loads(self.call("status", run, "--json"))
        return document

    def end(self) -> None:
        """Kill the remaining processes and stop the server."""
        for process in self.started:
            process.kill()
            process.wait()
        self.call("server", "stop", "--force", served=False)


def plain_jobs(client: Any) -> None:
    """Enqueue jobs of every kind; those on `now` are executed here."""
    from flowq import Callback, Group, Job, Queue, Repeat, Retry, Webhook

    now, later = Queue("now", client), Queue(LATER, client)
    kept: dict[str, Any] = {"result_ttl": -1, "failure_ttl": -1}
    hook = Webhook("http://receiver.invalid/done", "finished", method="POST", headers={"X-Fixture": "f5782f9"}, timeout=5)
    now.enqueue("work.add", 2, right=3, job_id="finished", description="two and three", meta={"tags": ["a", 1]}, **kept)
    now.enqueue("work.fail", job_id="failed", **kept)
    now.enqueue("work.mended", job_id="retrying", retry=Retry(3, [SOON, 0]), **kept)
    now.enqueue("work.add", 1, 1, job_id="repeated", repeat=Repeat(2, [SOON, 0]), **kept)
    now.enqueue("work.add", 5, 5, job_id="announced", webhooks=[hook], **kept)
    now.enqueue("work.wait", "started", job_id="started", on_failure=Callback("work.tell_failure", timeout=20), **kept)
    now.enqueue("work.wait", "restarted", job_id="restarted", retry=Retry(1), **kept)
    now.enqueue("work.wait", "stopped", job_id="stopped", on_stopped=Callback("work.tell_stopped"), **kept)
    later.enqueue("work.add", 2, 2, job_id="queued", on_success=Callback("work.tell_success"), job_timeout="10m", **kept)
    later.enqueue("work.add", 3, 3, job_id="front", at_front=True, **kept)
    later.enqueue("work.add", 3, 4, job_id="deferred", depends_on="queued", **kept)
    later.enqueue("work.add", 3, 5, job_id="skipped", depends_on="failed", **kept)
    later.enqueue("work.add", 3, 6, job_id="expiring", ttl=SOON, **kept)
    later.enqueue("work.add", 3, 7, job_id="canceled", **kept).cancel()
    later.enqueue_in(timedelta(seconds=SOON), "work.add", 4, 4, job_id="due", **kept)
    later.enqueue_at(FAR, "work.add", 4, 5, job_id="scheduled", **kept)
    Job.create("work.add", args=(6, 6), id="created", connection=client, origin=LATER, result_ttl=-1).save()
    album = Group.create(client, "album")
    album.enqueue_many(now, [Queue.prepare_data("work.add", (7, 1), job_id="member-1", **kept)])
    album.enqueue_many(later, [Queue.prepare_data("work.add", (7, 2), job_id="member-2", **kept)])
    Queue(LATER, client, serializer="json").enqueue("work.add", 8, right=8, job_id="json", meta={"form": "json"}, **kept)


def served_runs(writer: Writer) -> "subprocess.Popen[bytes]":
    """Submit runs for a worker, and return the worker when their jobs have got as far as they can; it still runs."""
    from flowq.command import send_stop_job_command

    worker = writer.start("worker", "now", "flows", "-c", "6", "--name", "old-worker", "--quiet")
    for flow, run in (("approval", "approval"), ("lapsing", "lapsing1"), ("mixed", "firstone"), ("waiting", "secondly")):
        writer.submit(flow, run)
    for flow, run in (("broken", "retrying"), ("handlers", "handlers"), ("waiting", "canceled")):
        writer.submit(flow, run)
    writer.call("cancel", "canceled")
    _until(lambda: _status(writer.client, "announced") == "finished", "the plain jobs")
    _until(lambda: _status(writer.client, "repeated") == "scheduled", "the repetition")
    _until(lambda: _status(writer.client, "retrying") == "scheduled", "the retry")
    for name in ("started", "restarted", "firstone", "stopped"):
        _until((writer.place / f"waits-{name}").exists, f"{name} to be executed")
    send_stop_job_command(writer.client, "stopped")
    _until((writer.place / "stopped-stopped").exists, "the callback of what was stopped")
    for run in ("approval", "lapsing1"):
        _until(partial(_asks, writer, run), f"{run} to ask")
    _until(lambda: writer.status("retrying")["status"] == "failed", "the failure of `retrying`")
    _until(lambda: _job(writer.status("handlers"), "work")["status"] == "failed", "the failure of `handlers`")
    return worker


def own_runs(writer: Writer, signed: str, key: str) -> None:
    """Let runs with workers of their own come to their ends, one of them signed and failed."""
    writer.call("run", "finished.yaml", "--run-id", "finished", served=False)
    environment = {"FLOWQ_NAMESPACE": signed, "FLOWQ_SECRET_KEY": key}
    writer.call("run", "broken.yaml", "--run-id", "signedno", code=1, served=False, env=environment)
    sealed = ("enqueue", "work.add", "left:=20", "right:=22", "-q", LATER, "--job-id", "sealed", "--result-ttl", "-1")
    writer.call(*sealed, served=False, env=environment)


def killed_run(writer: Writer) -> None:
    """Start a run whose foreach has finished two cells and executes two others, and kill its command and its worker."""
    from flowq import Worker

    command = writer.start("run", "halfdone.yaml", "--run-id", "halfdone", "--workers", "2", served=False)
    for letter in "cd":
        _until((writer.place / f"waits-{letter}").exists, f"the cell of {letter}")
    command.send_signal(signal.SIGSTOP)  # it would notice that its worker has gone
    (worker,) = [found for found in Worker.all(connection=writer.client) if "halfdone/default" in found.queue_names()]
    os.kill(worker.pid, signal.SIGKILL)
    command.kill()


def latest_changes(writer: Writer) -> None:
    """Add jobs and runs that no worker may sweep any more: they change when they are due."""
    from flowq import Queue, RateLimit

    for number in range(3):
        limit = RateLimit("narrow", concurrency=1)
        Queue(LATER, writer.client).enqueue("work.add", number, job_id=f"limited-{number}", rate_limit=limit, result_ttl=-1)
    writer.call("retry", "retrying", "--failed", "--detach")
    writer.call("run", "shortest.yaml", "--run-id", "shortest", served=False)
    writer.submit("timedout", "timedout")
    scheduler = writer.start("cron", "crontab.py", "--name", "old-scheduler", "--timezone", "UTC", "-l", "error")
    queue = Queue("cron", writer.client)
    _until(lambda: queue.count == 1, "the first job of the cron entry")
    scheduler.terminate()
    scheduler.wait()
    writer.call("suspend")


def expectation(writer: Writer, describe: Any) -> dict[str, Any]:
    """Return everything that this flowq reads of the data."""
    from flowq import Job, Queue

    queues = [queue for queue in Queue.all(writer.client) if "/" not in queue.name]
    described = describe.describe_queues(queues)
    ids = {job for queue in described.values() for place in queue.values() if isinstance(place, list) for job in place}
    jobs = [
        job
        for job in Job.fetch_many(sorted({*ids, "created", "skipped", "limited-1", "limited-2"}), writer.client)
        if job is not None
    ]
    runs = {run["id"]: describe.lasting(writer.status(run["id"])) for run in json.loads(writer.call("runs", "--json"))}
    return {
        "written": {
            "commit": "f5782f9",
            "flowq": writer.call("version").strip(),
            "server": (writer.home / "written-by").read_text("utf-8").strip(),
            "at": datetime.now(UTC).isoformat(),
        },
        "jobs": {job.id: describe.describe_job(job) for job in jobs if "/" not in job.origin and not _of_run(job.id)},
        "queues": described,
        "runs": runs,
        "logs": {run: writer.call("logs", run) for run in ("finished", "retrying", "halfdone")},
        "results": {job: json.loads(writer.call("result", "finished", job)) for job in ("table", "part[lang=en,fmt=pdf]")},
    }


def keep_for_good(client: Any) -> None:
    """Move the end of each key that has one to the year 2100.

    flowq itself limits the lives of what it notes of workers (a day), cron entries (a year or two) and caches; the data is to be read
    later than that.
    """
    for key in client.scan_iter(count=1000):
        if client.pexpiretime(key) > 0:
            client.pexpireat(key, FAR)


def pack(home: Path, archive: Path) -> None:
    """Pack the files of the stopped server into an archive."""
    with tarfile.open(archive, "w:gz", compresslevel=9) as file:
        for name in ("data", "written-by"):
            file.add(home / name, name, filter=_anonymous)


def main(out: Path) -> None:
    """Write everything."""
    import redis

    describe: Any = import_module("picture")
    places: Any = import_module("place")
    with tempfile.TemporaryDirectory(prefix="fq-old-") as directory, places.taken_place() as place:
        writer = Writer(Path(directory), place)
        writer.call("server", "start", served=False)
        writer.client = redis.Redis(unix_socket_path=f"{directory}/server.sock")
        try:
            plain_jobs(writer.client)
            own_runs(writer, places.SIGNED, places.KEY)
            worker = served_runs(writer)
            killed_run(writer)
            worker.kill()
            latest_changes(writer)
            expected = expectation(writer, describe)
            keep_for_good(writer.client)
        finally:
            writer.end()
        pack(writer.home, out / "home.tar.gz")
    text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
    (out / "expected.json").write_text(text + "\n", encoding="utf-8")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _until(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.02)


def _status(client: Any, job: str) -> str:
    return str(import_module("flowq").Job.fetch(job, client).get_status())


def _asks(writer: Writer, run: str) -> bool:
    return bool(_job(writer.status(run), "sign-off")["reason"] == "approval")


def _job(run: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(job for job in run["jobs"] if job["name"] == name)
    return found


def _of_run(job: str) -> bool:
    return job.rpartition("-")[2].isdecimal() and len(job.rpartition("-")[0]) == 8


if __name__ == "__main__":
    main(Path(sys.argv[1]))
