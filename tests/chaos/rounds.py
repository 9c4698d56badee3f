"""A round: a cast under the faults of a schedule, then calm, then the checks."""

import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flowq.ids import run_of
from flowq.store import Store
from tests.chaos.cast import Cast, Setting
from tests.chaos.checks import CHECKS, left_uploads, orphans
from tests.chaos.evidence import Evidence, read
from tests.chaos.recovery import after_lost_horses, after_lost_workers
from tests.chaos.schedule import NETWORK, schedule
from tests.chaos.served import FOLLOWER, HOOK, QUEUE
from tests.chaos.workload import AFAR_QUEUE
from tests.support.invariants import ENDED

LONGEST: Final = 180.0  # s after the last fault in which everything must have ended, on a slow machine too
_TURN: Final = 0.02  # s between two looks at the clock


@dataclass
class Findings:
    """What a round has shown. `problems` are by check, `after_worker` and `after_horse` are recoveries in s."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    jobs: int = 0
    executions: int = 0
    shared: int = 0  # executions in a process that had another one before or after
    afar: int = 0  # jobs that were executed on a node
    served: int = 0  # executions by the workers of serve
    slots: int = 0  # with a run
    runless: int = 0  # slots that were skipped or left out
    events: int = 0  # ends of runs and deliveries that have started a run
    repeated: int = 0  # jobs that were executed to their end more than once
    ends: Counter[str] = field(default_factory=Counter)
    problems: dict[str, list[str]] = field(default_factory=dict)
    after_worker: list[float] = field(default_factory=list)
    after_horse: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> bool:
        """Whether a check has found a problem."""
        return any(self.problems.values())


def play(setting: Setting, keep: Path | None = None) -> Findings:
    """Play a round and return what it has shown.

    Args:
        setting: of the round.
        keep: the directory that is given the files of a round with problems: logs, journals, the data of the server.
    """
    begun = time.monotonic()
    place = Path(tempfile.mkdtemp(prefix="fq-chaos-", dir="/tmp"))
    cast = Cast(setting, place)
    try:
        _act(cast)
        stuck = _settle(cast)
        cast.stop()
        findings = _judge(cast, stuck)
        findings.seconds = time.monotonic() - begun
        if findings.broken and keep is not None:
            shutil.copytree(cast.server.directory, place / "server", ignore=shutil.ignore_patterns("s"))
            shutil.copytree(place, keep / f"seed-{setting.seed}", ignore=shutil.ignore_patterns("proxy"), dirs_exist_ok=True)
        return findings
    finally:
        cast.close()
        shutil.rmtree(place)


def _act(cast: Cast) -> None:
    setting = cast.setting
    planned = schedule(setting.seed, setting.seconds, setting.lease, setting.server)
    faults = [fault for fault in planned if fault.kind not in NETWORK]
    while faults:
        cast.tend()
        if cast.start + faults[0].at <= time.time():
            cast.strike(faults.pop(0))
        time.sleep(_TURN)
    cast.heal()


def _settle(cast: Cast) -> list[str]:
    """Wait until all is submitted and has ended; return what is stuck."""
    waiting, before = ["the submitters have not come to their end"], ""
    moved = begun = time.monotonic()
    while waiting and time.monotonic() < min(moved + cast.setting.calm, begun + LONGEST):
        cast.tend()
        waiting = waiting if cast.submitting else _unsettled(cast)
        now = f"{waiting} {(cast.place / 'log').stat().st_size}"
        if now != before:
            moved, before = time.monotonic(), now
        time.sleep(10 * _TURN)
    return waiting


def _unsettled(cast: Cast) -> list[str]:
    """Return what has not ended. The end of a run may start another one, so only two looks at both show that nothing comes any more."""
    for _ in range(2):
        if left := [*cast.services.unsettled(cast.store)] or _open(cast.store):
            return left
    return []


def _open(store: Store) -> list[str]:
    runs = [f"run {run} has not ended" for run in store.runs.recent(10_000) if not store.runs.require(run).ended]
    return runs or [f"job {job} has not ended" for job in _open_jobs(store)]


def _open_jobs(store: Store) -> list[str]:
    client, keys = store.client, store.session.keys
    names = client.scan_iter(match=keys("job", "").replace("{", "\\{").replace("}", "\\}") + "*", count=1000)
    found = [name.decode().removeprefix(keys("job", "")) for name in names]
    pipe = client.pipeline(transaction=False)
    for job in found:
        pipe.hget(keys("job", job), "status")
    still = [job for job, status in zip(found, pipe.execute(), strict=True) if status and status.decode() not in ENDED]
    uploads = set(left_uploads(store)) if still else ()
    return [job for job in still if run_of(job) not in uploads]


def _judge(cast: Cast, stuck: list[str]) -> Findings:
    evidence = read(cast.store, cast.place, cast.strikes, cast.idle)
    findings = _counted(cast.setting.seed, evidence)
    findings.problems = {name: list(check(evidence)) for name, check in CHECKS.items()}
    findings.problems |= {"stuck": stuck, "processes": cast.problems, "orphan keys": []}
    if not stuck:
        cast.remove()
        findings.problems["orphan keys"] += orphans(cast.store)
    return findings


def _counted(seed: int, evidence: Evidence) -> Findings:
    executed = Counter(line.job for line in evidence.log if line.what == "end")
    return Findings(
        seed,
        Counter(strike.kind for strike in evidence.strikes),
        runs=len(evidence.picture.runs),
        jobs=len(evidence.jobs),
        executions=sum(line.what == "begin" for line in evidence.log),
        shared=sum(map(len, evidence.shared)),
        afar=len(
            {line.job for line in evidence.log} & {job for job, row in evidence.jobs.items() if row["queue"] == AFAR_QUEUE}
        ),
        served=sum(line.what == "begin" and evidence.jobs.get(line.job, {}).get("queue") == QUEUE for line in evidence.log),
        slots=sum("slot" in row for row in evidence.picture.runs.values()),
        runless=sum(entry.count for log in evidence.schedules.values() for entry in log if entry.outcome != "run"),
        events=sum(row.get("by") in {FOLLOWER, HOOK} for row in evidence.picture.runs.values()),
        repeated=sum(count > 1 for count in executed.values()),
        ends=Counter(row["status"] for row in evidence.jobs.values()),
        after_worker=list(after_lost_workers(evidence)),
        after_horse=list(after_lost_horses(evidence)),
    )
