"""Workers as the store sees them: who is there, what they serve, and what they are told."""

from collections.abc import Iterable, Mapping, Sequence

from flowq.store.outcomes import Outcome
from flowq.store.records import WorkerRecord
from flowq.store.session import Session


class Workers:
    """The store's view of workers."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def register(self, name: str, *, queues: Sequence[str], hostname: str, pid: int, slots: int, version: str) -> None:
        """Announce a worker; heartbeats keep it alive."""
        fields: dict[str, str | int] = {
            "queues": "\n".join(queues),
            "hostname": hostname,
            "pid": pid,
            "slots": slots,
            "version": version,
            "state": "idle",
            "busy": 0,
        }
        self._session.run("register", name, [part for pair in fields.items() for part in pair])

    def leave(self, name: str) -> None:
        """Take a worker off the list."""
        self._session.run("leave", name)

    def all(self) -> list[WorkerRecord]:
        """Return the live workers by name."""
        with self._session.translated:
            names = [item.decode() for item in self._session.client.zrange(self._keys("workers"), 0, -1)]
            pipe = self._session.client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(self._keys("worker", name))
            rows = pipe.execute()
        found = (_worker_record(name, row) for name, row in zip(names, rows, strict=True))
        return sorted((record for record in found if record is not None), key=lambda record: record.name)

    def serving(self, queues: Iterable[str]) -> set[str]:
        """Return those of the queues that a live worker listens on."""
        served = {queue for worker in self.all() for queue in worker.queues}
        return served & set(queues)

    def unclaim(self, job: str, token: str) -> Outcome:
        """Hand a claimed job back without charging an attempt."""
        return Outcome(self._session.run("unclaim", job, token)[0].decode())


def _worker_record(name: str, row: Mapping[bytes, bytes]) -> WorkerRecord | None:
    if not row or b"pid" not in row:
        return None
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    return WorkerRecord(
        name=name,
        queues=tuple(queue for queue in fields.get("queues", "").split("\n") if queue),
        hostname=fields.get("hostname", ""),
        pid=int(fields["pid"]),
        slots=int(fields.get("slots", 1)),
        busy=int(fields.get("busy", 0)),
        version=fields.get("version", ""),
        started_ms=int(fields.get("started", 0)),
        beat_ms=int(fields.get("beat", 0)),
        state=fields.get("state", ""),
        finished=int(fields.get("finished", 0)),
        failed=int(fields.get("failed", 0)),
        working_ms=int(float(fields.get("working_ms", 0))),
    )
