"""Which fork server a task goes to: one per interpreter, directory, import path and environment, a few of them kept."""

import logging
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from flowq.defaults import SELF_FENCE
from flowq.worker.fork_server.children import kill_orphans, own_children, reap_orphans
from flowq.worker.fork_server.scratch import remove_leftovers
from flowq.worker.options import WorkerOptions
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.client import ForkServerClient
from flowq.worker.supervisor.fork_servers.executor import ExecutorClient
from flowq.worker.supervisor.fork_servers.key import ForkServerKey
from flowq.worker.supervisor.task_imports import imports_of

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task

_log = logging.getLogger("flowq.worker")
_KEPT: Final = 6  # fork servers; about 10 MB each
_PATIENCE: Final = 45.0  # s; more than a call to a server that does not answer takes, with its repetitions
_IDLE: Final = 0.005  # s a horse waits before it warms up, in a worker with several slots
_RENEWED: Final = 0.2  # of the lease: how often this process renews the limit of its fork servers
_OFTEN: Final = 3  # tasks of one environment after which it gets a fork server of its own

# What an interpreter, its loader and its C library read when they start, and the fork server before it forks. Set in a horse these
# would come too late; all others do not.
_EARLY: Final = re.compile(r"(PYTHON|LD_|DYLD_|MALLOC|GLIBC_|LC_)\w*|LANG|LANGUAGE|TZ|TMPDIR")


class ForkServerPool:
    """The fork servers of a worker: starts, finds, renews and retires them."""

    def __init__(self, loop: Loop, options: WorkerOptions) -> None:
        self._loop = loop
        self._options = options
        self._fork_servers: OrderedDict[ForkServerKey, ForkServerClient] = OrderedDict()
        # How many tasks each of the latest places had that set variables of their own. No more than can be served at once: a matrix
        # in which every cell has its own environment must not have one of them come back and take a server away from another.
        self._seen: OrderedDict[ForkServerKey, int] = OrderedDict()
        self._preload = options.preload
        self._fence = options.lease * SELF_FENCE
        self._patience = _PATIENCE
        # With one slot a processor is free while a horse waits; busy slots take a horse sooner than that.
        self._warm_after = 0.0 if options.slots == 1 else _IDLE
        self.renewal = 0.0  # monotonic time at which `renew` has something to do again
        # What this process has started before, the watchdog of the embedded server for one, is not to be swept.
        self._others = own_children() if options.alone else set()
        self._living: set[ForkServerClient] = set()  # also those that take no new jobs any more
        remove_leftovers()

    def for_task(self, task: "Task") -> ForkServerClient:
        """Return the fork server for a task, a new one when there is none or when source that it has imported was changed.

        Raises:
            OSError: no process or no descriptor is left.
        """
        if task.get("secrets") and self._options.alone:
            reap_orphans(self._others | {known.pid for known in self._living})  # what commands that give secrets have left
        place = ForkServerKey() if self._options.executor else place_of(task)
        place = ForkServerKey() if self._is_for_clone(place) else self._choose(place)
        fork_server = self._fork_servers.get(place)
        if fork_server is not None and not fork_server.fresh():
            del self._fork_servers[place]
            fork_server.retire()
            fork_server = None
        if fork_server is None:
            fork_server = self.prepare(place)
        self._fork_servers.move_to_end(place)
        return fork_server

    @property
    def away(self) -> bool:
        """Whether the engine of the executor could give no place to the last job that it was asked for."""
        return any(fork_server.away for fork_server in self._living)

    def prepare(self, place: ForkServerKey) -> ForkServerClient:
        """Start a fork server ahead of its first task."""
        fork_server = self._fork_servers.get(place)
        if fork_server is None:
            self._make_room()
            fork_server = self._start(place)
            self._fork_servers[place] = fork_server
        return fork_server

    def used(self, task: "Task", fork_server: ForkServerClient) -> None:
        """Record that a task succeeded in this fork server: its modules are worth keeping imported."""
        if not self._options.warm or task.get("secrets") or self._options.executor is not None:
            return
        if fork_server.retired or fork_server.shared:  # others in a shared one have other variables
            return
        if fork_server.threads and task["kind"] != "pickle":  # it may look for its modules elsewhere than the program does
            return
        for module in imports_of(task):
            fork_server.warm(module)

    def tolerate(self, pid: int) -> None:
        """Register a child of this process that is no orphan."""
        self._others.add(pid)

    def renew(self) -> None:
        """Renew the time limit of all horses when it is due: called for as long as this process runs.

        Whether the server answers does not matter, because a worker cannot tell an outage from a partition. If this process is stopped,
        its horses are killed before its lease is over.
        """
        now = time.monotonic()
        if now >= self.renewal:
            self.renewal = now + self._options.lease * _RENEWED
            for fork_server in self._living:
                fork_server.renew(self._fence, self._patience)

    def lend(self, seconds: float) -> None:
        """Let all horses live for so long from now on, also those that are still to be started: in place of `renew`, for a node.

        A node does not hold the jobs itself, so there is no patience with it.
        """
        self._fence, self._patience = seconds, 0.0
        for fork_server in self._living:
            fork_server.renew(seconds)

    def close(self) -> None:
        """End all fork servers and everything below them."""
        self._fork_servers.clear()
        living, self._living = [fork_server for fork_server in self._living if not fork_server.lost], set()
        for fork_server in living:
            fork_server.hang_up()
        by = time.monotonic() + max((fork_server.close_limit for fork_server in living), default=0.0)  # for all: each may hang
        for fork_server in living:
            fork_server.await_end(by)
        self._kill_orphans()

    def _is_for_clone(self, place: ForkServerKey) -> bool:
        return self._options.clone and not (place.python or place.bundle)

    def _choose(self, place: ForkServerKey) -> ForkServerKey:
        """Return the place itself, or the shared one while its environment has not been seen often enough.

        An interpreter of its own pays for many jobs with one environment, because it keeps their modules imported; for a matrix whose
        cells differ in theirs it would be started for one job each.
        """
        if place.shared:
            return self._shared(place)
        if not place.env:
            return place
        self._seen[place] = self._seen.pop(place, 0) + 1
        while len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        if self._seen[place] >= _OFTEN or place in self._fork_servers:
            return place
        return self._shared(place)

    @staticmethod
    def _shared(place: ForkServerKey) -> ForkServerKey:
        early = tuple((name, value) for name, value in place.env if _EARLY.fullmatch(name))
        return place._replace(env=early, shared=True)

    def _start(self, place: ForkServerKey) -> ForkServerClient:
        fork_server: ForkServerClient
        if self._options.executor is not None:
            fork_server = ExecutorClient.drive(self._loop, self._options.executor, on_lost=self._lost)
        elif self._is_for_clone(place):
            fork_server = ForkServerClient.clone(self._loop, warm_after=self._warm_after, on_lost=self._lost)
        else:
            preload = () if place.shared or place.python else self._preload
            if place.cwd is None:  # it is for plain jobs, and each of them would import pickle
                preload = (*preload, "pickle")
            fork_server = ForkServerClient.start(
                self._loop, place, preload=preload, warm_after=self._warm_after, on_lost=self._lost
            )
            fork_server.shared = place.shared
        fork_server.renew(self._fence, self._patience)
        self._living = {known for known in self._living if not known.lost}
        self._living.add(fork_server)
        return fork_server

    def _make_room(self) -> None:
        if len(self._fork_servers) < _KEPT:
            return
        place = next(
            (place for place, fork_server in self._fork_servers.items() if not fork_server.busy), next(iter(self._fork_servers))
        )
        self._fork_servers.pop(place).retire()

    def _lost(self, fork_server: ForkServerClient) -> None:
        if self._preload and fork_server.abandoned and not fork_server.begun:
            _log.warning(
                "%s: not imported ahead any more, a fork server that did so has not answered", ", ".join(self._preload)
            )
            self._preload = ()
        for place, known in tuple(self._fork_servers.items()):
            if known is fork_server:
                del self._fork_servers[place]
        self._kill_orphans()
        remove_leftovers()

    def _kill_orphans(self) -> None:
        """Kill what a fork server has left that was killed: its horses, and in turn whatever they had below them, are children of this process."""
        if self._options.alone:
            kill_orphans(self._others | {known.pid for known in self._living if not known.lost})


def place_of(task: "Task") -> ForkServerKey:
    """Return where a task belongs. Commands import nothing, so their environment needs no server of its own.

    A call with secrets goes to a shared one: a module kept imported may have read its variables at import, without the secrets.
    """
    is_call = task["kind"] == "call"
    return ForkServerKey(
        cwd=task.get("home"),
        path=tuple(task.get("path") or ()),
        env=tuple(sorted((task.get("env") or {}).items())) if is_call else (),
        shared=is_call and bool(task.get("secrets")),
        withheld=tuple(task.get("withheld") or ()),
        python=task.get("python") or "",
        bundle=tuple(task.get("bundle") or ()),
    )
