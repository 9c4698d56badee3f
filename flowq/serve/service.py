"""The service for one directory: which processes it has, and with which options."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowq import defaults
from flowq.schedules.directory.names import served_prefix
from flowq.serve.child import WORKER, Child
from flowq.serve.tree import Tree

_PYTHON: Final = (
    sys.executable,
    "-P",
    "-m",
)  # -P: a file of the user's that is named like a module must not be imported in its place


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is served, and how.

    Attributes:
        directory: the absolute path of the flows.
        catalog: the name of their catalog.
        embedded: the server is the embedded one, where the queues have a prefix, and nothing else serves them.
        slots: jobs executed at once.
        queues: what the worker serves; none: those of the flows on the embedded server, else "default".
        scheduler: run a scheduler.
        worker: run a worker.
        page: options of the page, as of `flowq ui`; None: there is no page.
        traces: send the traces of runs to a collector.
        drain: seconds for which running jobs may finish after a stop signal.
        lease: seconds without a heartbeat after which the worker's jobs are given to another one; None: the default.
        scheduling: further options of the scheduler.
        log: level, format and dates of log lines.
    """

    directory: str
    catalog: str
    embedded: bool
    slots: int
    queues: tuple[str, ...] = ()
    scheduler: bool = True
    worker: bool = True
    page: tuple[str, ...] | None = None
    traces: bool = False
    drain: float = 600.0
    lease: float | None = None
    scheduling: tuple[str, ...] = ()
    log: Mapping[str, str] = field(default_factory=dict)


class Service:
    """The processes for one directory.

    Args:
        options: what is served.
        told: called with what the scheduler reports, see `flowq.schedules.summary`.
        shown: called with the address of the page.
    """

    def __init__(self, options: ServeOptions, told: Callable[[Mapping[str, Any]], None], shown: Callable[[str], None]) -> None:
        self._options = options
        self._told = told
        self._shown = shown
        self._children: list[Child] = []
        self._worker: Child | None = None
        if options.scheduler:
            command = (*_PYTHON, "flowq", "schedule", "run", *options.scheduling, *self._logging())
            self._children.append(Child("scheduler", command, (options.directory,), directory=options.directory, reports=True))
        if options.worker:
            command = (*_PYTHON, "flowq.worker.main", f"--slots={options.slots}", *_lease(options), *self._logging())
            self._worker = Child(WORKER, command, self._first_queues(), directory=options.directory)
            self._children.append(self._worker)
        if options.traces:
            command = (*_PYTHON, "flowq", "trace", "--follow", *self._logging())
            self._children.append(Child("traces", command, None, directory=options.directory, last=True))
        if options.page is not None:
            command = (*_PYTHON, "flowq", "ui", *options.page, *self._logging())
            self._children.append(
                Child("page", command, (options.directory,), directory=options.directory, reports=True, last=True)
            )

    def run(self) -> int:
        """Serve until a stop signal; return the exit code."""
        return Tree(self._children, self._options.drain, self._reported).run()

    def _reported(self, summary: Mapping[str, Any]) -> None:
        if "page" in summary:
            self._shown(summary["page"])
            return
        options = self._options
        if self._worker is not None and options.embedded and not options.queues:
            wanted = self._stored(summary["queues"] or (defaults.QUEUE,))
            if not set(wanted) <= set(self._worker.operands):  # more are no reason to replace a worker that is at work
                self._worker.replace(wanted)
        self._told(summary)

    def _first_queues(self) -> tuple[str, ...]:
        """Return the queues of the worker before the scheduler has told those of the flows; none: it waits for that."""
        options = self._options
        if options.queues or not options.embedded or not options.scheduler:
            return self._stored(options.queues or (defaults.QUEUE,))
        return ()

    def _stored(self, queues: "tuple[str, ...] | list[str]") -> tuple[str, ...]:
        """Return the store's names of queues."""
        prefix = served_prefix(self._options.catalog)
        return tuple(f"{prefix}/{queue}" if self._options.embedded else queue for queue in queues)

    def _logging(self) -> tuple[str, ...]:
        log = self._options.log
        return f"--log-level={log['level']}", f"--log-format={log['format']}", f"--date-format={log['dates']}"


def _lease(options: ServeOptions) -> tuple[str, ...]:
    return () if options.lease is None else (f"--lease={options.lease}",)
