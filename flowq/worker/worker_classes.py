"""The other workers that users of RQ know: queues in turn or at random, and horses that are not forked from the caller."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from flowq.connections.urls import url_of
from flowq.dotted_names import reference, resolve
from flowq.exceptions import UsageError
from flowq.job import Job
from flowq.serializers import serializer_name
from flowq.worker import methods
from flowq.worker.horse import callbacks
from flowq.worker.options import WorkerOptions
from flowq.worker.worker import DequeueStrategy, Worker

_OPTIONS: Final = ("job_class", "queue_class", "serializer", "default_result_ttl")  # that a spawned worker's job knows


class RoundRobinWorker(Worker):
    """A `Worker` that serves its queues in turn, one job of each."""

    dequeue_strategy = DequeueStrategy.ROUND_ROBIN


class RandomWorker(Worker):
    """A `Worker` that serves its queues in random order."""

    dequeue_strategy = DequeueStrategy.RANDOM


class HerokuWorker(Worker):
    """A `Worker` for hosts that ask every process to stop, and kill the remaining ones soon after.

    Its jobs' processes ignore SIGTERM and SIGINT. When the worker must stop, it lets running jobs continue for `imminent_shutdown_delay`
    seconds, then hands it back to its queues without charging an attempt.
    """

    imminent_shutdown_delay: float = 6

    def _options(self, **settings: Any) -> WorkerOptions:
        return replace(super()._options(**settings), stop_within=self.imminent_shutdown_delay, deaf=True)


class SpawnWorker(Worker):
    """A `Worker` whose jobs run below a fresh interpreter instead of a clone of the calling process.

    For programs that must not be forked: with threads, with native libraries that do not stand it. Jobs see the caller's `sys.path`,
    directory and environment, nothing that it has imported or patched; classes and handlers that they need must be importable.

    Raises:
        UsageError: a class, a handler or a serializer that a fresh interpreter could not import, or a connection that cannot be
            written as an address.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spawned_hooks()

    def _options(self, **settings: Any) -> WorkerOptions:
        return replace(
            super()._options(**settings),
            clone=False,
            path=tuple(os.path.abspath(entry) if entry else os.getcwd() for entry in sys.path),
            environment=(("FLOWQ_REDIS_URL", url_of(self.connection)), ("FLOWQ_NAMESPACE", self.store.namespace)),
            hooks=self._spawned_hooks(),
        )

    def _spawned_hooks(self) -> dict[str, Any]:
        """Return the names under which a fresh interpreter finds what `Worker` hands to its clone as it is."""
        wanted = {
            "job_class": None if self.job_class is Job else self.job_class,
            "penalty_class": self.death_penalty_class,
        }
        hooks: dict[str, Any] = {name: _name(value) for name, value in wanted.items() if value is not None}
        if self.serializer is not None:
            hooks["serializer"] = serializer_name(self.serializer) or "pickle"
        if self.exception_handlers:
            hooks["handlers"] = [_name(handler) for handler in self.exception_handlers]
        if methods.through_replaced(self) is not None:
            hooks |= {"worker": _name(type(self)), "queues": self.queue_names(), "worker_name": self.name}
            hooks |= {"queue_class": _name(self.queue_class), "default_result_ttl": self.default_result_ttl}
        return hooks

    @classmethod
    def adopted_hooks(cls, names: Mapping[str, Any]) -> callbacks.Hooks:
        """Return the hooks of a worker like the one whose `_spawned_hooks` these are, in the process of its job."""
        worker = cls(
            names["queues"],
            names["worker_name"],
            exception_handlers=[resolve(name) for name in names.get("handlers", ())],
            **{name: names[name] for name in _OPTIONS if name in names},
        )
        if "penalty_class" in names:
            worker.death_penalty_class = resolve(names["penalty_class"])
        worker.working_in = 0  # not this process
        return worker.hooks(methods.through_replaced(worker))


def _name(value: Any) -> str:
    try:
        return reference(value)
    except UsageError as error:
        raise UsageError(
            f"a SpawnWorker cannot use {value!r}: its jobs' interpreter has to import it by name ({error})"
        ) from error
