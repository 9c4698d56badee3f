"""A process that submits its part of the workload, and that may be killed and started again at any moment.

Before and after each submission it appends a line to its journal: what it tried, and what was accepted. What was tried and never
accepted may exist or not. A run is submitted again with the same id, which is the same submission. A plain job without parents may refuse its id
the second time (`unique`); any other one gets an id that the journal does not have, since the first may still be on its way.
"""

import json
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from flowq import Dependency, Queue, RateLimit, Retry
from flowq.compiler import compile_text
from flowq.connections.clients import open_store
from flowq.exceptions import DuplicateJobError, ServerUnavailableError
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.chaos import jobs
from tests.chaos.workload import QUEUES, RATES, Submission

AGAIN: Final = 0.1  # s until what the server did not answer is tried again


class Journal:
    """The lines of a submitter, also of its earlier processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self.tried: list[str] = []
        self.accepted: dict[str, str] = {}  # what was accepted -> its id
        for line in lines:
            self._note(line)

    def write(self, **line: Any) -> None:
        """Append a line."""
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._note(line)

    def _note(self, line: dict[str, Any]) -> None:
        if "tried" in line:
            self.tried.append(line["tried"])
        else:
            self.accepted[line["accepted"]] = line["id"]


class Submitter:
    """One process of a submitter."""

    def __init__(self, store: Store, journal: Journal, directory: Path) -> None:
        self._store, self._journal, self._directory = store, journal, directory

    def submit(self, item: Submission) -> None:
        """Submit it, unless it was accepted."""
        while item.id not in self._journal.accepted:
            try:
                self._try(item)
            except ServerUnavailableError:
                time.sleep(AGAIN)

    def _try(self, item: Submission) -> None:
        tries = self._journal.tried.count(item.id)
        name = item.id if item.flow or item.unique else f"{item.id}_{tries}"
        parents = [self._journal.accepted[parent] for parent in item.after]
        self._journal.write(tried=item.id, id=name, parents=parents)
        if item.flow:
            self._flow(item)
        else:
            self._job(item, name, parents)
        self._journal.write(accepted=item.id, id=name, flow=bool(item.flow))

    def _flow(self, item: Submission) -> None:
        compiled = compile_text(json.dumps(item.flow), file=str(self._directory / f"{item.id}.yaml"))
        assert compiled.plan is not None, compiled.diagnostics
        submit(self._store, compiled.plan, directory=self._directory, run_id=item.id)

    def _job(self, item: Submission, name: str, parents: list[str]) -> None:
        queue = Queue(QUEUES[int(item.at) % 2], connection=self._store)
        function, argument = item.call
        options: dict[str, Any] = {
            "job_id": name,
            "unique": item.unique,
            "result_ttl": -1,
            "failure_ttl": -1,
            "retry": Retry(item.retries) if item.retries else None,
            "rate_limit": RateLimit(item.limit, *RATES[item.limit]) if item.limit else None,
            "depends_on": Dependency(parents, allow_failure=item.allow) if parents else None,
        }
        call = getattr(jobs, function)
        arguments = () if argument is None else (argument,)
        with suppress(DuplicateJobError):
            if item.delay:
                queue.enqueue_in(timedelta(seconds=item.delay), call, *arguments, **options)
            else:
                queue.enqueue(call, *arguments, **options)


def main(place: Path, number: int, start: float) -> None:
    """Submit the part with this number; `start` is when the round began, on the clock."""
    journal = Journal(place / f"journal{number}")
    items = json.loads((place / "workload").read_text())[number]
    submitter = Submitter(connect(), journal, place)
    for row in items:
        item = Submission(**row)
        time.sleep(max(0.0, start + item.at - time.time()))
        submitter.submit(item)


def connect() -> Store:
    """Return the store, when the server answers."""
    while True:
        with suppress(ServerUnavailableError):
            return open_store()
        time.sleep(AGAIN)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
