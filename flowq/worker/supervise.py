"""Work until a reason to stop comes, also when the server loses its data.

A supervisor works on one incarnation of the data: what it claimed before a FLUSHALL or an empty restart means nothing afterwards. So it
ends, with all its jobs, and another one begins with the data that there is now.
"""

import logging
import select
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowq.exceptions import DataLostError, ServerUnavailableError, UsageError
from flowq.processes import few_files, missing_proc
from flowq.worker.signals import SAME_STOP, StopSignals
from flowq.worker.supervisor.supervisor import Supervisor

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.options import WorkerOptions

_log = logging.getLogger("flowq.worker")
_PAUSE: Final = 0.5  # s between attempts to open the data that replaced the lost one


def supervise(store: "Store", options: "WorkerOptions") -> tuple[int, int]:
    """Work. The calling thread must be the main one: signals are handled here.

    Args:
        store: opened, with `follow=False`.
        options: of the worker. A worker of one run ends when the data is lost, because the run is lost too.

    Returns:
        The exit code (0 after a stop, 1 when the data of the run was lost), and how many executions have ended.

    Raises:
        ServerError: the server could not be used at the start, or its data has another schema now.
        UsageError: there is no `/proc`, or too few files may be open.
    """
    if lack := missing_proc() or few_files(options.slots):
        raise UsageError(lack)
    executed = 0
    together = SAME_STOP if options.until_run is None else 0.0  # in `flowq run`, each Ctrl+C counts
    with StopSignals(together) as signals:
        while True:
            supervisor = Supervisor(store, options, signals)
            try:
                supervisor.run()
            except DataLostError as error:
                _log.error("%s", error)
                if options.until_run is not None:
                    return 1, executed + supervisor.executed
            else:
                return 0, executed + supervisor.executed
            executed += supervisor.executed
            if options.max_jobs is not None:
                options = replace(options, max_jobs=options.max_jobs - supervisor.claimed)
            if options.max_jobs == 0 or not reopen(store, options.name, signals):
                return 0, executed


def reopen(store: "Store", worker: str, signals: StopSignals) -> bool:
    """Open the data that the server has now, as soon as it can be used; return False if the worker is to stop instead.

    Raises:
        ServerError: the data has another schema now.
    """
    while not signals.count:
        try:
            store.open()
        except ServerUnavailableError:
            select.select([signals.fileno()], (), (), _PAUSE)
        else:
            _log.warning("worker %s starts again, with the data that the server has now", worker)
            return True
    return False
