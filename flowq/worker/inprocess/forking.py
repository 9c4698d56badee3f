"""The loop of a `Worker` whose server is a stand-in in the memory of its own process, such as fakeredis.

The processes of a supervisor would not see such a server. Here the worker's process claims jobs and reports their ends, and forks a process for
each job. As with RQ, that process has a copy of the server: what the job itself writes to it is lost.
"""

import marshal
import os
import select
import signal
import time
from typing import TYPE_CHECKING, Final, NoReturn

from flowq.defaults import TIMEOUT_GRACE
from flowq.durations import NEVER
from flowq.exceptions import ServerError
from flowq.store.schema.outcomes import Claim
from flowq.worker.horse.exit_text import exit_text, killed_text
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.inprocess import sync
from flowq.worker.inprocess.engine import Engine
from flowq.worker.ipc.messages import failed
from flowq.worker.signals import STOP
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.plain_jobs import timeout_of, unreadable

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import TaskResult

_BROKEN: Final = 70  # EX_SOFTWARE: the process for the job itself failed


class ForkingEngine(Engine):
    """An `Engine` that executes each job in a process of its own. No thread beats: a lock that it holds would stay locked in the copy."""

    def _wait(self) -> None:
        self._heartbeat.beat()
        super()._wait()

    def _watched(self, claim: Claim) -> Ended:
        if claim.canceling:
            return Ended({}, KillCause.CANCEL)
        try:
            limit = _limit(claim)
        except ValueError as error:
            return Ended(failed("error", unreadable(claim.id, error)))
        reads, writes = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._be_horse(claim, writes)
        os.close(writes)
        self._heartbeat.begin(claim)
        try:
            answer = self._answer(pid, reads, limit)
        finally:
            self._heartbeat.end()
            os.close(reads)
        _, status, usage = os.wait4(pid, 0)
        cause = self._heartbeat.cause
        if answer:
            return Ended(marshal.loads(answer), cause)
        end = Ended(_death(status, claim, cause), cause, False, pid, os.waitstatus_to_exitcode(status), tuple(usage))
        if self._options.killed is not None and cause is None:
            self._options.killed(claim.id, end)
        return end

    def _be_horse(self, claim: Claim, pipe: int) -> NoReturn:
        code = _BROKEN
        try:
            os.setsid()
            for number in STOP:
                signal.signal(number, signal.SIG_DFL)
            with OwnProcess():
                outcome = sync.execute(self._store, claim, options=self._options)
            with os.fdopen(pipe, "wb") as stream:
                marshal.dump(outcome, stream)
            code = 0
        finally:
            os._exit(code)

    def _answer(self, pid: int, pipe: int, limit: float | None) -> bytes:
        """Return what the process of a job has written when it closes its end, or has exited; kill it when the job must end."""
        answer = b""
        while True:
            if select.select([pipe], (), (), self._heartbeat.interval)[0]:
                chunk = os.read(pipe, 65536)
                if not chunk:
                    return answer
                answer += chunk
                continue
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return answer  # what it has left running holds the other end, and tells nothing
            try:
                cause = self._heartbeat.beat()
                self._report_deliveries()
            except ServerError:
                continue  # a stand-in that plays a broken server
            if limit is not None and time.monotonic() > limit:
                cause = cause or KillCause.TIMEOUT
            if cause is not None:
                self._heartbeat.cause = cause
                os.killpg(pid, signal.SIGKILL)


def _limit(claim: Claim) -> float | None:
    """Return the monotonic time at which the process of a job that ignores its timeout is killed."""
    timeout = timeout_of(claim.fields)
    return None if timeout == NEVER else time.monotonic() + timeout + TIMEOUT_GRACE


def _death(status: int, claim: Claim, cause: KillCause | None) -> "TaskResult":
    """Return the outcome of a process that ended without one."""
    code = os.waitstatus_to_exitcode(status)
    if cause is KillCause.TIMEOUT:
        return failed("timeout", f"the job ran longer than its timeout of {timeout_of(claim.fields):g} s and was killed")
    how = killed_text(-code) if code < 0 else f"ended without a result: {exit_text(code)}"
    return failed("killed", f"the job's process was {how}" if code < 0 else f"the job's process {how}", exit_code=code)
