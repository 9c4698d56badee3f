"""`Schedule`: a schedule of a flow from Python, with the same parts that the command line uses."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.flows.actions.approval import user
from flowq.flows.run import Run
from flowq.plan import Json
from flowq.schedules.requests import Asked, trigger
from flowq.schedules.selection import select_schedule
from flowq.schedules.users.history import read_history
from flowq.schedules.views import ScheduleView, read_schedules
from flowq.store.schedules import SlotEntry
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store


class Schedule:
    """An entry of a flow's `schedule`, or one of its triggers, that a scheduler (`flowq serve DIR`) has.

    Args:
        store: where it is.
        schedule_id: its id, such as `flows/etl/nightly:weekdays`.
    """

    def __init__(self, store: "Store", schedule_id: str) -> None:
        self.id = schedule_id
        self._store = store

    @classmethod
    def fetch(cls, name: str, connection: Any = None) -> "Schedule":
        """Return a handle on a schedule by its id or the end of it (`nightly`), as `flowq schedule` takes it.

        Raises:
            UsageError: none fits, or several.
        """
        from flowq.connections.stores import store_for

        store = store_for(connection)
        return cls(store, select_schedule(store, name))

    @classmethod
    def all(cls, connection: Any = None) -> "list[Schedule]":
        """Return the schedules and triggers that are in the files now, by id."""
        from flowq.connections.stores import store_for

        store = store_for(connection)
        return [cls(store, view.record.id) for view in read_schedules(store, store.schedules.names()) if not view.gone]

    def view(self) -> ScheduleView:
        """Return its state: what `flowq schedule list` shows.

        Raises:
            UsageError: it is not known any more.
        """
        found = read_schedules(self._store, [self.id])
        if not found:
            raise UsageError(f"there is no schedule {self.id!r} any more: its flow file was removed a month ago")
        return found[0]

    def history(self, limit: int = 20) -> list[SlotEntry]:
        """Return what became of its slots or events, newest first."""
        return read_history(self._store, self.id, limit)

    def pause(self, note: str = "", *, until: datetime | None = None, by: str | None = None) -> None:
        """Let it start nothing until it is resumed. Runs that are open go on.

        Args:
            note: why.
            until: when it is resumed by itself; a time without a zone is one of this machine.
            by: who; the user of this process.
        """
        end = None if until is None else _ms(until)
        self._store.schedules.pause(self.id, by or user(), note, end)

    def resume(self, *, catch_up: bool = False) -> None:
        """Let it start runs again. `catch_up`: what was missed is made up as the entry says; else it is left out.

        Raises:
            InvalidRunOperation: no user has paused it.
        """
        if self._store.schedules.resume(self.id, catch_up=catch_up) is not Outcome.DONE:
            raise InvalidRunOperation(f"{self.id} is not paused by a user")

    def trigger(self, params: Mapping[str, Json] | None = None, *, slot: datetime | None = None) -> Run:
        """Start a run of its entry now, also while it is paused; return the run. Workers execute it, or `Run.wait`.

        Args:
            params: values that take precedence over those of the entry.
            slot: the run is that of this slot.

        Raises:
            UsageError: that is not a slot, the flow file is not on this machine, or it is a trigger, which has no entry.
            InvalidFlowError: the flow does not compile.
            InvalidRunOperation: the slot has another run.
        """
        at = None if slot is None else _ms(slot)
        return Run(self._store, trigger(self._store, self.id, at, dict(params or {}), Asked(user(), "api")))


def _ms(time: datetime) -> int:
    return round(time.astimezone(UTC).timestamp() * 1000)
