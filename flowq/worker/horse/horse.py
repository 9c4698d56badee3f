"""The horse: a forked process that executes one task and exits; several only if they ask for that (`batch`).

A horse is a session leader (its group can be killed as one), dies with its fork server, and is a subreaper (what its job
daemonizes stays below it and is swept with it).
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import errno
import marshal
import os
import sys
from os import chdir, close, dup2, putenv

from flowq.defaults import MAX_RESULT
from flowq.jobs import context
from flowq.worker.horse import function, leftovers, plain, shell
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.ipc import platform
from flowq.worker.ipc.channel import LOST, PeerGoneError, framed
from flowq.worker.ipc.messages import failed, finished
from flowq.worker.ipc.short_form import LENGTH as SHORT
from flowq.worker.ipc.short_form import environment, restored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Final, NoReturn

    from flowq.worker.horse.batch import Keeper
    from flowq.worker.horse.callbacks import Announce
    from flowq.worker.horse.entry import Entrance, LaneEnd
    from flowq.worker.ipc.channel import Channel
    from flowq.worker.ipc.messages import Task, TaskResult
    from flowq.worker.ipc.short_form import ShortTask

_FORMER: list[
    tuple[object, ...]
] = []  # replaced streams: dropped, they would be flushed, and wait for a lock that a thread had
BROKEN = 70  # EX_SOFTWARE: the horse itself failed; the supervisor sees an exit without an outcome
UNUSED = 75  # EX_TEMPFAIL: it has executed nothing
_PRESET = {"FLOWQ_RUN_ID": "", "FLOWQ_ATTEMPT": "1", "FLOWQ_EXECUTION": "1"}
"""Variables as most plain jobs have them: set in the fork server, as each one that a horse sets copies pages."""


def live(entrance: Entrance, lane: LaneEnd, own: Iterable[int], parent: int) -> NoReturn:
    """Run as a horse in a fresh child: enter the lane, wait for a task, execute it, answer, exit with 0.

    It waits for another task if it has told so.
    The arguments are those of `Entrance.enter`. `lane.scratch` may be created; the parent removes it.
    """
    code = BROKEN
    try:
        entrance.enter(lane, own, parent)
        channel, keeper = entrance.channel, None
        if entrance.sample and not channel.readable(entrance.warm_after):
            _warm_up(entrance.sample)
        while True:
            message, pipes = channel.first()
            if message[0] != lane.turn:
                code = UNUSED  # that was for the former horse of this lane, which has ended without reading it
                break
            platform.take_part()
            if len(message) == SHORT:
                if entrance.sample and serve_short(
                    channel, message, pipes
                ):  # without one, the user's code takes part in executions
                    code = 0
                    break
                message = message[0], restored(message), {}
            _, task, secrets = message
            if "batch" in task and keeper is None and LOST not in pipes:  # without descriptors, there is nothing to keep
                keeper = _keeper()
            if not serve(channel, lane.scratch, (task, secrets), pipes, keeper):
                code = 0
                break
            platform.give_way()
    except PeerGoneError:
        code = UNUSED  # a lane that is not needed any more, or its supervisor is gone
    except BaseException as error:  # noqa: BLE001 - the last line of defence: the process ends here
        if isinstance(error, OSError) and error.errno in {errno.EBADF, errno.ENOTSOCK}:
            text = "the job has closed descriptors that it had not opened: its end could not be told"
        else:
            text = f"a work horse broke: {type(error).__name__}: {error}"
        os.write(2, f"flowq: {text}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(code)


def judge(entrance: Entrance, lane: LaneEnd, own: Iterable[int], parent: int, *, written: bytes | str, left: str) -> NoReturn:
    """Tell the outcome of a command that has exited with 0, in a fresh child that takes its place in the lane.

    Args:
        entrance: the way into the lane.
        lane: as the next two, an argument of `Entrance.enter`.
        own: the second one.
        parent: the third one.
        written: to its `$FLOWQ_OUTPUT`.
        left: what it had left running, in words.
    """
    code = BROKEN
    try:
        entrance.enter(lane, own, parent)
        outcome = shell.judged(0, written, MAX_RESULT)
        entrance.channel.tell({**outcome, "note": left} if left else outcome)
        code = 0
    except PeerGoneError:
        code = UNUSED
    finally:
        os._exit(code)


class _Nowhere:
    """In place of a channel, while there is no task."""

    def tell(self, message: Any) -> None:
        """Frame a message as a channel does."""
        framed(message, 0)


_NOWHERE: Final = _Nowhere()


def _warm_up(sample: bytes) -> None:
    """Copy the pages that a task will need, as long as there is none: reading one, its variables, a call, the outcome.

    What it sets is set again by each task. No code of the user's is executed.
    """
    serve_short(_NOWHERE, marshal.loads(sample), [])


def serve_short(channel: Channel | _Nowhere, short: ShortTask, pipes: Sequence[int]) -> bool:
    """Do what `serve` does, for a task in short form; return whether it was done: if not, nothing of it was executed, and `pipes` may be taken.

    One function, as `flowq.worker.horse.entry` says.
    """
    if LOST in pipes:
        return False
    _, kind, seconds, limit, call, variables, directory, path, rest = short
    if directory:
        try:
            chdir(directory)
        except OSError:
            return False
    number = 1
    for pipe in pipes:
        dup2(pipe, number)
        close(pipe)
        number += 1
    context.set_current_task(rest)
    names = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001 - `rehearsal` looks whether it is there
    for name, value in variables:
        if names.get(name) != value:
            putenv(name, value)
            names[name] = value
    for entry in path:
        if entry not in sys.path:
            sys.path[:0] = [one for one in path if one not in sys.path]
            break
    outcome = plain.execute(kind, call, seconds, limit)
    _flush()
    left = leftovers.are_there()
    if kind == "call" and (left or not isinstance(outcome, bytes)):
        _add_to_log({} if isinstance(outcome, bytes) else outcome)
    if left or not platform.SWEEPS:
        outcome = {**(finished(outcome) if isinstance(outcome, bytes) else outcome), "left": True}
    channel.tell(outcome)
    return True


def _add_to_log(outcome: TaskResult) -> None:
    """Write the end of the log of a flow's call: what it has left running, and how it has failed."""
    leftovers.report()
    function.print_traceback(outcome)


def serve(
    channel: Channel, scratch: str, given: tuple[Task, dict[str, str]], pipes: Sequence[int], keeper: Keeper | None = None
) -> bool:
    """Execute the given task with its secrets in this process, and answer on `channel`.

    Returns:
        Whether it was told that this horse takes another task; never without a keeper.

    Raises:
        PeerGoneError: the other end is closed.
    """
    if LOST in pipes:
        what = OSError(errno.EMFILE, "the job's process could not begin: too many open files")
        channel.tell(failed("error", platform.describe(what)))
        return False
    task, secrets = given
    for number, pipe in enumerate(pipes, 1):
        os.dup2(pipe, number)
        os.close(pipe)
    _equip(task, secrets)
    outcome = _enter_directory(task)
    if keeper is not None:
        keeper.begin(task)
    if outcome is None and plain.suits(task):
        result = plain.execute(*plain.call_of(task))
        outcome = finished(result) if isinstance(result, bytes) else result
    if outcome is None and shell.can_become(task):
        outcome = shell.become(task, scratch, channel.tell)
    if outcome is None:
        with OwnProcess():  # only this one reports
            outcome = _execute(task, scratch, lambda seconds, so_far: channel.tell({"phase": seconds, "so_far": so_far}))
    else:
        _flush()
        if task["kind"] == "call":
            _add_to_log(outcome)
    if leftovers.are_there() or not platform.SWEEPS:
        outcome["left"] = True
    if keeper is None or not keeper.may_stay(outcome):
        channel.tell(outcome)
        return False
    outcome["looks"] = True
    channel.tell(outcome)
    stays = keeper.stays()  # while the end is reported
    channel.tell({"stays": stays})
    if stays:
        keeper.clear()
    return stays


def _keeper() -> Keeper:
    from flowq.worker.horse.batch import Keeper  # what few horses need

    return Keeper()


def prepare() -> None:
    """Prepare a fork server for its horses, which inherit stdin, the streams, variables and the handlers of stop signals."""
    os.environ.update(_PRESET)
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    open_streams()


def _equip(task: Task, secrets: dict[str, str]) -> None:
    """Prepare this process for a task. Its secrets get into the environment, and nowhere else."""
    if task.get("deaf"):
        for number in platform.STOP_SIGNALS:
            _signal.signal(number, _signal.SIG_IGN)
    context.set_current_task(task)
    for name in task.get("withheld") or ():
        os.environ.pop(name, None)  # a clone of a user's process has them
    preset = _PRESET
    for name, value in environment(task).items():
        if preset.get(name) != value:
            os.environ[name] = value
    for name, value in secrets.items():
        os.environ[name] = value
    if secrets:
        import resource

        resource.setrlimit(
            resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1])
        )  # they would be in the core file


def _enter_directory(task: Task) -> TaskResult | None:
    """Go to the job's directory, and let it find modules where it should; return the outcome of a job whose directory is not there."""
    try:
        if task.get("cwd"):
            os.chdir(task["cwd"])
    except OSError as error:
        return failed("error", f"the job's directory {task['cwd']} cannot be entered: {error.strerror}{_directory_hint(task)}")
    if task["kind"] not in {"shell", "argv"}:
        missing = [entry for entry in task.get("path") or () if entry not in sys.path]
        if missing:
            sys.path[:0] = missing
    return None


def _directory_hint(task: Task) -> str:
    """Return what to do where a job's directory is missing: `workdir` names it, or the worker lacks that of the whole run."""
    home = task.get("home")
    if not task.get("run") or not home:
        return ""
    if os.path.isdir(home):
        return "; `workdir` of the job names it: correct it, or let an earlier job make the directory"
    return "; `code: ship` in the flow lets its files travel to workers that lack its directory"


def _execute(task: Task, scratch: str, announce: Announce) -> TaskResult:
    if "artifacts" not in task and "fetch" not in task:
        return _decide(task, scratch, announce)
    from flowq.worker.horse.artifacts import around

    return around.through(task, lambda: _decide(task, scratch, announce))


def _decide(task: Task, scratch: str, announce: Announce) -> TaskResult:
    if "cache" not in task:
        return _perform(task, scratch, announce)
    from flowq.worker.horse.cache import decide

    return decide.through(task, lambda: _perform(task, scratch, announce))


def _perform(task: Task, scratch: str, announce: Announce) -> TaskResult:
    if task["kind"] in {"shell", "argv"}:
        outcome = shell.execute(task, scratch)
        leftovers.report()
        return outcome
    outcome = function.execute(task, announce)
    _flush()
    if task["kind"] == "call":
        _add_to_log(outcome)
    return outcome


def _flush() -> None:
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except BaseException:  # noqa: BLE001, S110 - the job closed, replaced or removed its stream; its outcome stands
            pass


def open_streams() -> None:
    """Give this process streams on descriptors 1 and 2 that pass on every line, so that output can be followed while a job runs.

    Done once, in the fork server: made in each horse they would cost a quarter of a millisecond.
    """
    for fd in (1, 2):
        try:
            os.fstat(fd)
        except OSError:  # a worker that was started with its output closed
            os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
    former = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    _FORMER.append(former)
    sys.stdout = sys.__stdout__ = open(1, "w", 1, "utf-8", "backslashreplace", closefd=False)  # type: ignore[misc] # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # type: ignore[misc] # noqa: SIM115
    if "logging" in sys.modules:
        _turn_handlers(former)


def _turn_handlers(former: tuple[object, ...]) -> None:
    """Let log handlers write to the new streams: a thread may have been in the middle of a line when this process was cloned."""
    import logging

    for reference in logging._handlerList:  # type: ignore[attr-defined] # noqa: SLF001 - there is no other list of them
        handler = reference()
        if isinstance(handler, logging.StreamHandler) and any(handler.stream is stream for stream in former):
            handler.stream = sys.stdout if any(handler.stream is stream for stream in former[::2]) else sys.stderr
