"""The store's view of workers: the living workers, their queues, and commands to them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from flowq import defaults, ids, processes
from flowq.exceptions import ServerError
from flowq.store.client.scripts import load
from flowq.store.client.session import Session
from flowq.store.schema.instants import instant
from flowq.store.schema.outcomes import Claim, ExchangeReply, ExecutionReport, Outcome, SweepReply, Verdict
from flowq.store.schema.records import Registration, WorkerRecord
from flowq.store.schema.replies import (
    exchange_arguments,
    heartbeat_arguments,
    read_beat,
    read_claim,
    read_exchange,
    read_sweep,
    sweep_arguments,
)
from flowq.store.schema.rights import commands_of_scripts

_SCRIPTS: Final = (
    "worker/exchange",
    "worker/heartbeat",
    "worker/sweep",
    "worker/take_lost_callbacks",
    "worker/acknowledge_lost_callback",
    "worker/unregister",
    "job/return_claim",
    "rate_limit/release_slot",
)
"""The scripts that a worker calls: read when it registers, because a worker without free descriptors cannot open a file."""

_LIVE_LEASES: Final = 2  # without a heartbeat for so many leases a worker counts as dead
_SILENT_LEASES: Final = 6  # likewise, although its process runs
_SILENT: Final = 60_000  # ms, at least


class Workers:
    """The store's view of workers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def register(self, worker: Registration) -> Registration | None:
        """Register a worker; heartbeats keep it listed. Return the living worker that has the name, None when there is none.

        One that has the nonce `worker.former` is known not to live.

        Raises:
            ServerError: the user of the server lacks rights that a worker needs.
        """
        for script in _SCRIPTS:
            load(script)
        reply = self._session.run(
            "worker/register", worker.name, worker.nonce, worker.former, worker.fields(), commands_of_scripts()
        )
        if reply[0] == b"denied":
            missing = ", ".join(name.decode() for name in reply[1:])
            raise ServerError(
                f"{self._session.translated.server} does not allow this user what a worker needs ({missing}): `flowq acl worker` prints all rights"
            )
        if reply[0] != b"conflict":
            return None
        nonce, hostname, pid, process = (part.decode("utf-8", "replace") for part in reply[1:])
        return Registration(worker.name, (), hostname, int(pid), nonce=nonce, process=process)

    def declare_gone(self) -> None:
        """Let the jobs of workers be reaped whose processes are known to have ended, once their leases have run out."""
        with self._session.translated:
            names = [item.decode() for item in self._session.client.zrange(self._keys("workers"), 0, -1)]
            pipe = self._session.client.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self._keys("worker", name), "process", "nonce")
            rows = pipe.execute(raise_on_error=False) if names else []
        for name, row in zip(names, rows, strict=True):
            process, nonce = row if isinstance(row, list) else (None, None)  # else it is no record: a sweep sets it aside
            if process and nonce and processes.is_running(process.decode("utf-8", "replace")) is False:
                self._session.run("worker/declare_gone", name, nonce)

    def leave(self, name: str, nonce: str = "") -> Outcome:
        """Unregister a worker; with the nonce of its registration, unless another one has its name by now."""
        return Outcome(self._session.run("worker/unregister", name, nonce)[0].decode())

    def live(self) -> list[WorkerRecord]:
        """Return the workers that live, by name.

        The record of a lost worker stays until the sweeps of others remove it, and longer if it was the only one, so it
        proves nothing. A worker lives while its process is known to run and has sent a heartbeat within six leases, at least a minute:
        it may be one of the server that this data was copied from. Where it cannot be told from here whether it runs, within two leases.
        """
        with self._session.translated:
            names = [item.decode() for item in self._session.client.zrange(self._keys("workers"), 0, -1)]
            pipe = self._session.client.pipeline(transaction=False)
            pipe.time()
            for name in names:
                pipe.hgetall(self._keys("worker", name))
            (seconds, micros), *rows = pipe.execute()
        now = seconds * 1000 + micros // 1000
        found = (_worker_record(name, row) for name, row in zip(names, rows, strict=True))
        return sorted(
            (record for record in found if record is not None and _lives(record, now)), key=lambda record: record.name
        )

    def serving(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues that a live worker listens on."""
        return {queue for worker in self.live() for queue in worker.queues} & set(queues)

    def get(self, name: str) -> WorkerRecord | None:
        """Return the record of one worker, also of one that was lost; None of one that has stopped."""
        with self._session.translated:
            row = self._session.client.hgetall(self._keys("worker", name))
        return _worker_record(name, row)

    def get_live(self, name: str) -> WorkerRecord | None:
        """Return the record of one worker if it lives, as `live` says, else None."""
        record = self.get(name)
        return record if record is not None and _lives(record, self._session.now_ms()) else None

    def set_aside(self, kind: str, record: str, text: str) -> None:
        """Take a record that cannot be read off its list (`kind`: "decide"), with the reason why."""
        self._session.run("worker/set_aside", kind, record, text)

    def all_set_aside(self) -> dict[str, str]:
        """Return why each record was set aside, by `<kind>|<id>`."""
        with self._session.translated:
            found = self._session.client.hgetall(self._keys("set_aside"))
        return {name.decode("utf-8", "replace"): text.decode("utf-8", "replace") for name, text in found.items()}

    def jobs(self, name: str) -> list[str]:
        """Return the ids of the jobs that a worker was given last, one per slot; whether it has them still, their records say."""
        with self._session.translated:
            row = self._session.client.hgetall(self._keys("worker", name))
        claims = sorted((field, value) for field, value in row.items() if field.startswith(b"claim:"))
        return [value.partition(b" ")[2].decode() for _, value in claims]

    def command(self, name: str, command: str) -> Outcome:
        """Send a command to a worker and wake it; `flowq.worker.supervisor.supervisor` defines the commands."""
        return Outcome(self._session.run("worker/send_command", name, ids.nonce(), command)[0].decode())

    def commands(self, name: str) -> list[tuple[str, str]]:
        """Return the latest commands to a worker, as `(nonce, command)`, oldest first."""
        with self._session.translated:
            said = self._session.client.hget(self._keys("worker", name), "commands") or b""
        lines = (line.partition(" ") for line in said.decode().splitlines())
        return [(nonce, command) for nonce, _, command in lines if command]

    def claim(self, name: str, queues: Sequence[str], lease: float) -> Claim | None:
        """Claim one job, waiting for the answer: for workers without an event loop. `lease` in seconds."""
        return read_claim(self._session.run("job/claim", name, 1, ids.nonce(), _ms(lease), list(queues)))

    def exchange(
        self, name: str, queues: Sequence[str], lease: float, ended: Sequence[ExecutionReport], claims: Sequence[str]
    ) -> ExchangeReply:
        """Report ended executions and claim a job for each of `claims` (fresh ids); see `WorkerConnection.exchange`."""
        return read_exchange(
            self._session.run(
                "worker/exchange", *exchange_arguments(name, _ms(lease), queues, logs=(), ended=ended, claims=claims)
            )
        )

    def heartbeat(
        self, worker: Registration, claim: Claim | None = None, counters: tuple[int, int, int] = (0, 0, 0)
    ) -> Verdict | None:
        """Renew the lease of one claim, or without one only the worker's heartbeat; return the verdict on the claim.

        `counters` as in `heartbeat_arguments`.
        """
        executions = [] if claim is None else [(claim.id, claim.token)]
        state = "busy" if executions else "idle"
        flat = heartbeat_arguments(worker, state, counters=counters, executions=executions)
        return next(iter(read_beat(self._session.run("worker/heartbeat", *flat)).verdicts), None)

    def callbacks(self, queues: Sequence[str], limit: int) -> list[Claim]:
        """Take over failure callbacks of executions that were lost with their worker; report each with `called`."""
        rows = self._session.run("worker/take_lost_callbacks", limit, list(queues))
        return [claim for claim in map(read_claim, rows) if claim is not None]

    def called(self, lost: Claim) -> Outcome:
        """Record that the callback of a lost execution was called; until then it is handed out again after a while."""
        answer = self._session.run(
            "worker/acknowledge_lost_callback", lost.queue, lost.id, lost.execution, lost.fields["nonce"]
        )
        return Outcome(answer[0].decode())

    def sweep(self, lease: float, queues: Sequence[str] = ()) -> SweepReply:
        """Do what every worker's sweep does: reap, promote, expire, release.

        `queues` are those that the caller serves: lost jobs of a local run wait for a worker of that run, unless it is canceled.
        """
        return read_sweep(self._session.run("worker/sweep", *sweep_arguments(_ms(lease), queues, punctual=False)))

    def wait(self, name: str, queues: Sequence[str], timeout: float) -> None:
        """Wait until a job may be there, this worker is called, or `timeout` seconds have passed; it may return earlier."""
        self._session.wait_for([self._keys("call", name), *(self._keys("wake", queue) for queue in queues)], timeout)

    def vacate(self, lost: Claim) -> Outcome:
        """Release the place of a deleted job under a rate limit, which was kept until the job's process had ended."""
        answer = self._session.run("rate_limit/release_slot", lost.id, lost.token, lost.fields["semaphores"].partition(" ")[2])
        return Outcome(answer[0].decode())

    def unclaim(self, job: str, token: str) -> Outcome:
        """Hand a claimed job back without charging an attempt."""
        return Outcome(self._session.run("job/return_claim", job, token)[0].decode())


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _lives(worker: WorkerRecord, now_ms: int) -> bool:
    running = processes.is_running(worker.process)
    silent = now_ms - worker.beat_ms
    if running is None:
        return silent < _LIVE_LEASES * worker.lease_ms
    return running and silent < max(_SILENT_LEASES * worker.lease_ms, _SILENT)


def _worker_record(name: str, row: Mapping[bytes, bytes]) -> WorkerRecord | None:
    if not row or b"pid" not in row:
        return None
    fields = {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in row.items()}
    return WorkerRecord(
        name=name,
        queues=tuple(queue for queue in fields.get("queues", "").split("\n") if queue),
        hostname=fields.get("hostname", ""),
        pid=_count(fields, "pid", -1),
        slots=_count(fields, "slots", 1),
        busy=_count(fields, "busy", 0),
        version=fields.get("version", ""),
        started_ms=_time(fields, "started"),
        beat_ms=_time(fields, "beat"),
        state=fields.get("state", ""),
        finished=_count(fields, "finished", 0),
        failed=_count(fields, "failed", 0),
        working_ms=_count(fields, "working_ms", 0),
        process=fields.get("process", ""),
        lease_ms=_count(fields, "lease", int(1000 * defaults.LEASE)),
        executor=fields.get("executor", ""),
    )


def _count(fields: Mapping[str, str], name: str, otherwise: int) -> int:
    """Return a number of the record; `otherwise` where it is none: a damaged one must not hide the worker."""
    try:
        return int(float(fields[name]))
    except (KeyError, ValueError, OverflowError):
        return otherwise


def _time(fields: Mapping[str, str], name: str) -> int:
    """Return a time of the record in ms; 0 where it is none, as in `_count`."""
    try:
        return instant(fields[name])
    except (KeyError, ValueError):
        return 0
