"""Registration of a worker, under a name that no other living worker has."""

import logging
import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

from flowq import __version__, processes
from flowq.exceptions import ServerError, UsageError
from flowq.store.schema.records import Registration

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.options import WorkerOptions

_log = logging.getLogger("flowq.worker")


def register(store: "Store", options: "WorkerOptions") -> Registration:
    """Register a worker and return the data that its heartbeats repeat, so that a lost entry is restored.

    Raises:
        UsageError: a worker of this name lives. One whose process is known to be gone gives the name up at once, one of another
            machine when it has not been heard of for two leases.
        ServerError: the server cannot be used.
    """
    wanted = Registration(
        options.name,
        options.queues,
        socket.gethostname(),
        os.getpid(),
        options.slots,
        __version__,
        options.lease,
        executor=options.executor.name if options.executor else "",
    )
    store.workers.declare_gone()  # before a name is taken over, with which its former worker's record goes
    holder = store.workers.register(wanted)
    if holder is not None and _is_gone(holder):
        holder = store.workers.register(replace(wanted, former=holder.nonce))
    if holder is not None:
        raise UsageError(
            f"there exists an active worker named {options.name!r} already: process {holder.pid} on {holder.hostname};"
            " stop it, or choose another name"
        )
    return wanted


def unregister(store: "Store", worker: Registration) -> None:
    """Unregister a worker; if the server cannot be used, other workers remove it when its heartbeats have stopped for a while."""
    try:
        store.workers.leave(worker.name, worker.nonce)
    except ServerError as error:
        _log.warning("could not unregister the worker: %s", error)


def _is_gone(holder: Registration) -> bool:
    """Return whether the process is known not to work under that name: it has ended, or it is this very process."""
    if holder.hostname == socket.gethostname() and holder.pid == os.getpid() and holder.process in {"", processes.identity()}:
        return True
    return processes.is_running(holder.process) is False
