"""Following a run on the terminal until it ends: the display, the local worker, Ctrl+C, and the exit code.

If this command's own worker executes the run, the first Ctrl+C cancels the run and the second kills it. If other workers execute
the run, Ctrl+C only detaches from it.
"""

import shlex
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from flowq import defaults
from flowq.cli import exit_codes
from flowq.cli.context import complain
from flowq.cli.follow.local_worker import Tended
from flowq.cli.follow.log_display import JsonDisplay, PlainDisplay, QuietDisplay
from flowq.cli.interrupts import Interrupts
from flowq.cli.options.flows import Manner
from flowq.cli.render.output import Writer
from flowq.cli.render.styled_text import Line
from flowq.cli.render.summary import Tails, summary_lines, summed_up_lines
from flowq.cli.terminal import Terminal
from flowq.durations import format_duration
from flowq.exceptions import ServerUnavailableError
from flowq.flows.local_worker.messages import LONGEST, await_messages
from flowq.flows.local_worker.orphaned_runs import has_worker, room_taken
from flowq.flows.views.follow import START, Follower, Progress, Update
from flowq.flows.views.json_documents import run_json
from flowq.flows.views.run_summary import LARGE, read_summary
from flowq.flows.views.snapshot import read_plan, read_view, take_snapshot
from flowq.flows.views.text import plural, safe_line
from flowq.states import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowq.flows.forecast.outlook import Outlook
    from flowq.flows.views.run_view import RunView
    from flowq.plan import Cell, Plan
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord

_LOOK: Final = 2.0  # s between checks of workers and concurrency groups
_NAMED: Final = 3  # running jobs that a message names


class Display(Protocol):
    """A display of a run that is followed."""

    def update(self, update: Update) -> None:
        """Show an update."""

    def remark(self, text: str) -> None:
        """Show a message of the command itself."""

    def close(self) -> None:
        """Restore the terminal."""

    def last_words(self) -> "Sequence[str]":
        """Return the lines to write, unchanged, after the summary."""


@dataclass(frozen=True, slots=True)
class Standby:
    """The means of a command to take over a run if another command's worker dies.

    `queues` are the store's names of the run's queues; `start` starts a worker of this command.
    """

    queues: "Sequence[str]"
    start: "Callable[[], Tended]"


@dataclass(slots=True)
class Following:
    """A run that is followed.

    `interrupts` counts Ctrl+C since before the run was submitted, so that none is lost on the way here. `worker` executes a
    local run and belongs to this command. `events_after` is where the story starts for this command: a retry does not tell
    the earlier attempts again. `only_watching`: Ctrl+C just ends the watching. `standby`: a local run that another command's worker
    executes. `plan`: that of a run that was just submitted, so that it is not read again.
    """

    store: "Store"
    run_id: str
    interrupts: Interrupts
    worker: Tended | None = None
    events_after: str = START
    manner: Manner = field(default_factory=Manner)
    only_watching: bool = False
    standby: Standby | None = None
    plan: "Plan | None" = None
    _interrupted: bool = field(default=False, init=False)
    _canceled: bool = field(default=False, init=False)
    _kill_at: float = field(default=0.0, init=False)
    _looked: float = field(default=0.0, init=False)
    _asked: float = field(default=0.0, init=False)
    _told: set[str] = field(default_factory=set, init=False)

    def to_the_end(self) -> int:
        """Follow until the run has ended or Ctrl+C ends the display; show the summary; return the exit code."""
        unsent, missing = 0, list[str]()
        writer = Writer(Terminal.of(sys.stdout))
        plan = read_plan(self.store, self.run_id) if self.plan is None else self.plan
        progress = Progress(plan, take_snapshot(self.store, self.run_id, plan))
        if self.worker is not None:
            progress.unserved = frozenset()  # the worker is starting
        tails = Tails()
        live = shows_live(self.manner)
        display = self._display(writer, progress, tails, live=live)
        ended = False
        try:
            ended = self._follow(progress, tails, display)
        finally:
            display.close()
            if self.worker is not None:
                if ended:
                    unsent, missing = self._await_messages()
                self.worker.end(idle=ended)
        if not ended:
            writer.raw(display.last_words())
            self._say_how_to_come_back()
            return exit_codes.INTERRUPTED
        if unsent:
            why = "".join(f" ({text})" for text in missing)
            told = f"{plural(unsent, 'message')} about run {self.run_id} could not be sent yet{why}"
            complain(f"{told}: the worker of a later run tries again")
        quiet = self.manner.output == "quiet"
        view = self._show_end(writer, tails, table=live or quiet, apart=not quiet)
        if not self.manner.as_json:
            writer.raw(display.last_words())
        return exit_codes.INTERRUPTED if self._interrupted and view.status is RunStatus.CANCELED else exit_codes.of_run(view)

    def _await_messages(self) -> tuple[int, list[str]]:
        """Wait for the messages about the run; Ctrl+C ends the wait."""
        before = self.interrupts.count

        def tell(count: int) -> None:
            noun = plural(count, "message")
            complain(
                f"waiting up to {format_duration(LONGEST)} for {noun} about run {self.run_id} to be sent; Ctrl+C ends the wait"
            )

        return await_messages(self.store, self.run_id, tell, lambda: self.interrupts.count > before)

    def _show_end(self, writer: Writer, tails: Tails, *, table: bool, apart: bool) -> "RunView":
        """Read the run and write its summary; return it, of a run of many jobs without most of them."""
        record = self.store.runs.require(self.run_id)
        writer.terminal = terminal = Terminal.of(sys.stdout)  # it may have been resized
        lines: list[Line] = [(("", ""),)] if apart else []
        if record.total > LARGE and not (self.manner.as_json or self.manner.reporting.junit):
            summary = read_summary(self.store, record)
            writer.lines([*lines, *summed_up_lines(summary, tails, terminal, table=table)])
            return summary.run
        view = read_view(self.store, self.run_id)
        self.manner.reporting.write(self.store, view)
        if self.manner.as_json:
            writer.json_line(run_json(view))
        else:
            writer.lines([*lines, *summary_lines(view, tails, terminal, table=table)])
        return view

    def _display(self, writer: Writer, progress: Progress, tails: Tails, *, live: bool) -> Display:
        if self.manner.as_json:
            return JsonDisplay(writer, progress)
        if self.manner.reporting.annotations is not None:
            from flowq.cli.follow.ci_display import AnnotatedDisplay
            from flowq.flows.render.ci_annotations import annotations

            return AnnotatedDisplay(writer, progress, annotations(self.manner.reporting.annotations))
        if live:
            from flowq.cli.follow.live_display import LiveDisplay

            return LiveDisplay(progress, tails, self._outlook(progress))
        if self.manner.output == "quiet":
            return QuietDisplay()
        return PlainDisplay(writer, progress)

    def _outlook(self, progress: Progress) -> "Outlook | None":
        """Return the forecast of this run from earlier runs of the flow."""
        from flowq.flows.forecast.history import read_history
        from flowq.flows.forecast.outlook import LARGEST, outlook
        from flowq.flows.local_worker.process import default_slots

        if len(progress.plan.cells) > LARGEST:
            return None
        run = progress.view()
        slots = self.manner.workers or default_slots()
        if not run.local:
            slots = sum(worker.slots for worker in self.store.workers.live()) or slots
        return outlook(progress.plan, read_history(self.store, run.flow, before=run.id), slots)

    def _follow(self, progress: Progress, tails: Tails, display: Display) -> bool:
        """Return whether the run has ended; False when Ctrl+C ended the following."""
        answered = 0
        follower = Follower(
            self.store,
            self.run_id,
            after=self.events_after,
            workers=self.worker is None and shows_live(self.manner),
            approvals=progress.coming_approvals,
        )
        for update in follower.updates():
            progress.apply(update)
            tails.collect(update)
            display.update(update)
            if update.ended:
                return True
            while self.interrupts.count > answered:
                answered += 1
                if not self._interrupt(progress, display):
                    return False
            if self._interrupted and not self._canceled and not self._cancel_later(progress, display):
                return False
            self._look_for_room(progress, display)
            if self.worker is None:
                self._look_for_workers(progress, display)
            elif not self._interrupted:
                remark = self.worker.look_after(self.store, self.run_id)
                if remark:
                    display.remark(remark)
        return True

    # -- Ctrl+C ---------------------------------------------------------------------------------------------------------------

    def _interrupt(self, progress: Progress, display: Display) -> bool:
        """Handle one Ctrl+C; return whether to go on following."""
        if self.worker is None:
            return False
        if self._interrupted:
            if self._canceled:  # else the server takes no changes, or does not answer
                self._cancel(handlers=True)
            self.worker.kill()
            return False
        self._interrupted = True
        grace = _longest_grace(progress.running(), progress)
        self._kill_at = time.monotonic() + grace
        if (refusal := self._cancel()) is None:
            display.remark(f"canceling run {self.run_id}{_time_to_stop(progress)}")
        else:
            display.remark(
                f"run {self.run_id} cannot be canceled now: {refusal}; its jobs are killed in {format_duration(grace)} if that"
                " lasts; Ctrl+C again kills them"
            )
        return True

    def _cancel_later(self, progress: Progress, display: Display) -> bool:
        """Try again to cancel; kill the jobs when their time is over, because who has sent one SIGTERM waits for an end. Return whether to go on following."""
        if time.monotonic() >= self._kill_at and self.worker is not None:
            self.worker.kill()
            return False
        if self._cancel() is None:
            display.remark(f"canceling run {self.run_id}{_time_to_stop(progress)}")
        return True

    def _cancel(self, *, handlers: bool = False) -> ServerUnavailableError | None:
        """Cancel the run, with `handlers` also those that run; return why the server does not take that now."""
        try:
            self.store.runs.cancel(self.run_id, handlers=handlers)
        except ServerUnavailableError as error:
            return error
        self._canceled = True
        return None

    def _ended_by_the_kill(self) -> bool:
        """Cancel once more, now the handlers that the kill has enqueued and no worker will execute; return whether the run has ended."""
        self._cancel(handlers=True)
        try:
            record = self.store.runs.get(self.run_id)
        except ServerUnavailableError:
            return False
        return record is not None and record.ended

    def _say_how_to_come_back(self) -> None:
        complain("")
        if self._interrupted:
            complain(
                f"killed run {self.run_id}: `flowq status {self.run_id}` shows what came of it,"
                + (
                    f" `flowq retry {self.run_id} --failed` runs again what was cut off"
                    if self._ended_by_the_kill()
                    else f" `flowq run --resume {self.run_id}` brings it to its end"
                )
            )
        elif self.only_watching:
            complain(f"run {self.run_id} goes on: flowq status {self.run_id} --watch")
        else:
            complain(
                f"detached; run {self.run_id} goes on: `flowq status {self.run_id} --watch` comes back to it,"
                f" `flowq cancel {self.run_id}` cancels it"
            )

    def _look_for_room(self, progress: Progress, display: Display) -> None:
        """While the concurrency group is full, name once the runs that hold its places, and which of them have no worker."""
        now = time.monotonic()
        if progress.group is None or now - self._asked < _LOOK:
            return
        self._asked = now
        with suppress(ServerUnavailableError):
            for sentence in room_taken(self.store, progress.group):
                if sentence not in self._told:
                    self._told.add(sentence)
                    display.remark(sentence)

    def _look_for_workers(self, progress: Progress, display: Display) -> None:
        """Check at intervals which queues with waiting jobs have no worker; take over a local run whose worker died."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        waiting = progress.waiting_queues()
        with suppress(ServerUnavailableError):
            progress.unserved = waiting - self.store.workers.serving(waiting) if waiting else waiting
            if self.standby is not None and not has_worker(self.store, self.standby.queues):
                self.worker = self.standby.start()
                progress.unserved = frozenset()
                display.remark("the worker of this run was lost; this command takes over with another one")


def _time_to_stop(progress: Progress) -> str:
    """Return the end of the message about a cancel: which jobs it waits for, for how long at most, and how to end them at once."""
    running = progress.running()
    if not running:
        return "; Ctrl+C again kills it"
    longest = format_duration(_longest_grace(running, progress))
    names = [safe_line(cell.name) for cell in running[:_NAMED]]
    more = f" and {len(running) - _NAMED} more" if len(running) > _NAMED else ""
    verb, them = ("has", "it") if len(running) == 1 else ("have", "them")
    return f": {', '.join(names)}{more} {verb} up to {longest} to stop; Ctrl+C again kills {them}"


def _longest_grace(running: "Sequence[Cell]", progress: Progress) -> float:
    """Return the seconds that these jobs have to stop; the default without any."""
    graces = (progress.plan.node_of(cell).stop_grace for cell in running)
    return max((defaults.STOP_GRACE if grace is None else grace for grace in graces), default=defaults.STOP_GRACE)


def shows_live(manner: Manner) -> bool:
    """Return whether the run is shown by the live display rather than in lines."""
    if manner.as_json or manner.reporting.annotations is not None or manner.output in {"lines", "quiet"}:
        return False
    return Terminal.of(sys.stdout).live


def announce_unserved(store: "Store", run: "RunRecord", queues: "Sequence[str]") -> None:
    """Warn of queues (the store's names) that the run needs and no worker serves."""
    unserved = sorted(set(queues) - store.workers.serving(queues))
    if unserved:
        names = ", ".join(repr(name) for name in unserved)
        command = f"flowq serve {shlex.quote(run.directory)}" if run.queue_prefix else f"flowq worker {shlex.join(unserved)}"
        complain(
            f"warning: no worker listens on {'queue' if len(unserved) == 1 else 'queues'} {names}:"
            f" jobs wait there until one does; start one with: {command}"
        )


def last_position(store: "Store", run_id: str) -> str:
    """Return the position of the last event of a run."""
    position = START
    while events := store.runs.events(run_id, after=position, count=5000):
        position = events[-1].seq
    return position
