"""Fixtures with the old data: unchanged, a copy that a test may change, and the data after all its jobs were executed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import flowq
from flowq.cli.main import run as command_line
from flowq.cron import get_cron_job_ids
from tests.support.endpoint import Asked, Endpoint
from tests.support.wait import until
from tests.upgrade.old_home import OldHome
from tests.upgrade.place import KEY, SIGNED, taken_place

Reads = Callable[..., str]
SEALED = {"FLOWQ_NAMESPACE": SIGNED, "FLOWQ_SECRET_KEY": KEY}

ENDS = {  # the last status of each job …
    "stopped": "stopped",
    **dict.fromkeys(("queued", "front", "deferred", "due", "json", "created", "member-1", "member-2", "finished"), "finished"),
    **dict.fromkeys(("announced", "retrying", "repeated", "restarted", "limited-0", "limited-1", "limited-2"), "finished"),
    **dict.fromkeys(("failed", "started", "expiring"), "failed"),
    "skipped": "skipped",
    "canceled": "canceled",
    "scheduled": "scheduled",
}
RUN_ENDS = {  # … and of each run, but for the one whose retention has passed
    **dict.fromkeys(("approval", "finished", "firstone", "halfdone", "retrying", "secondly"), "finished"),
    **dict.fromkeys(("handlers", "lapsing1", "timedout"), "failed"),
    "canceled": "canceled",
}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with taken_place() as directory:
        yield directory


@pytest.fixture(scope="module")
def opened(place: Path) -> Iterator[OldHome]:
    """Unpack the data unchanged; no worker runs on it, and the tests that share it only read."""
    with OldHome() as home:
        yield home


@pytest.fixture
def fresh(place: Path) -> Iterator[OldHome]:
    """Unpack the data unchanged, for one test that changes it."""
    with OldHome() as home:
        yield home
        home.check()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], place: Path) -> Reads:
    """Execute `flowq` in this process on a home's data; return what it prints."""

    def call(home: OldHome, *arguments: str) -> str:
        monkeypatch.setenv("FLOWQ_REDIS_URL", home.address)
        monkeypatch.chdir(place)
        capfd.readouterr()
        code = command_line(arguments)
        out, err = capfd.readouterr()
        assert code == 0, f"flowq {' '.join(arguments)}: {code}\n{out}{err}"
        return out

    return call


@dataclass(frozen=True)
class After:
    """The data after all jobs were executed; `asked` are the webhook's requests, `again` is the output of a second run of `finished`."""

    home: OldHome
    asked: list[Asked]
    again: str

    def run(self, name: str) -> flowq.Run:
        """Return a run."""
        return flowq.Run.fetch(name, connection=self.home.client)

    def statuses(self, run: str) -> dict[str, str]:
        """Return the statuses of a run's jobs."""
        return {job.name: str(job.status) for job in self.run(run).view().jobs}


@pytest.fixture(scope="module")
def after(place: Path) -> Iterator[After]:
    """Execute everything with today's worker, commands and cron scheduler, side by side."""
    with OldHome() as home, Endpoint() as endpoint:
        for name in ("go", "mended"):
            (place / name).touch()
        queues = ("later", "flows", "now", "cron", "default")
        home.start("worker", *queues, "-c", "4", "--worker-ttl", "3", env={"http_proxy": endpoint.url, "no_proxy": ""})
        home.call("resume")
        home.call("approve", "approval", "sign-off", "--by", "reader")
        ending = [home.start("run", "--resume", "halfdone"), home.start("retry", "signedno", "--failed", env=SEALED)]
        again = home.start("run", "--again", "finished")
        home.start("cron", "crontab.py", "--timezone", "UTC")
        home.call("requeue", "--queue", "now", "failed")
        flowq.Queue("later", home.client).enqueue_job(flowq.Job.fetch("created", home.client))
        home.call("worker", "later", "--burst", env=SEALED)
        for process in (*ending, again):
            assert process.wait() == 0, process.out + process.err
        _until_all_have_ended(home)
        until(lambda: len(get_cron_job_ids("work.add", connection=home.client)) > 1, message="the cron entry")
        until(lambda: endpoint.asked, message="the webhook")
        until((place / "failure-started").exists, message="the callback")
        yield After(home, endpoint.asked, again.out)
        home.check()


def _until_all_have_ended(home: OldHome) -> None:
    try:
        until(lambda: not still_open(home), timeout=40)
    except AssertionError:
        raise AssertionError(f"these did not come to their ends: {still_open(home)}") from None


def status_of(job: flowq.Job) -> str:
    """Return the status of a job as stored: to users of RQ, a skipped one is deferred."""
    return "skipped" if job.is_skipped else str(job.get_status())


def still_open(home: OldHome) -> dict[str, str]:
    """Return the jobs and runs that do not have the status of their end, each with the status it has."""
    found = dict(zip(ENDS, flowq.Job.fetch_many(ENDS, home.client), strict=True))
    jobs = {name: "gone" if job is None else status_of(job) for name, job in found.items()}
    runs = {name: str(flowq.Run.fetch(name, connection=home.client).status) for name in RUN_ENDS}
    return {
        f"{kind} {name}": status
        for kind, statuses, ends in (("job", jobs, ENDS), ("run", runs, RUN_ENDS))
        for name, status in statuses.items()
        if status != ends[name]
    }
