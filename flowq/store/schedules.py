"""Schedules of flows: what has become of their slots, and pauses. Ids and numbers only: what a schedule says is not known here.

Times are milliseconds since the epoch by the server's clock. Everything that is decided about a slot is decided in one script, so any number of
schedulers may ask for the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flowq.store.client.session import Session
from flowq.store.page.live import order_of
from flowq.store.schema.outcomes import Outcome

NONE: Final = -1
"""In place of a slot where there has been none."""

ENDED_KEPT: Final = 10_000
"""Ends of runs that are kept, as of `lua/lib/run_lifecycle.lua`."""


@dataclass(frozen=True, slots=True)
class SlotClaim:
    """The slot that a run is for.

    Attributes:
        kind: "slot" (a scheduler, when it is due), "hand" (a user, at any time) or "backfill".
        schedule: id of the schedule.
        slot: the slot.
        after: the schedule's latest slot as the caller saw it, or the cursor of the backfill.
        due: when it may begin.
        overlap: skip, queue, cancel_running, allow; or one_by_one: only when no run of the schedule is open.
        backfill: id of the backfill.
        code: digest of the files that its first run was made of.
    """

    kind: str
    schedule: str
    slot: int
    after: int = NONE
    due: int = 0
    overlap: str = ""
    backfill: str = ""
    code: str = ""

    def arguments(self) -> list[object]:
        """Return it as `run/publish` reads it."""
        return [self.kind, self.schedule, self.after, self.slot, self.due, self.overlap, self.backfill, self.code]


@dataclass(frozen=True, slots=True)
class EventClaim:
    """The event that a run of a trigger is for.

    Attributes:
        trigger: id of the trigger, which is stored as schedules are.
        at_ms: when it happened.
        key: what no other event of the trigger has.
        cursor: of an event of a stream: its position; else "".
        before: likewise, the trigger's cursor as the caller saw it.
        overlap: as of a slot.
    """

    trigger: str
    at_ms: int
    key: str
    cursor: str = ""
    before: str = ""
    overlap: str = ""

    def arguments(self) -> list[object]:
        """Return it as `run/publish` reads it."""
        return ["event", self.trigger, self.before, self.at_ms, self.cursor, self.overlap, self.key, ""]


@dataclass(frozen=True, slots=True)
class RunEnd:
    """An entry of the stream of runs that have ended: its position there, the run, and what it was of."""

    position: str
    run: str
    attempt: int
    status: str
    file: str
    by: str

    @property
    def at_ms(self) -> int:
        """When it ended."""
        return int(self.position.partition("-")[0])


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """The state of a schedule at a beat.

    Attributes:
        slot: the latest slot that was dealt with, `NONE` if there was none.
        since: when its present definition was seen first.
        paused: by a user or by its file.
        open: runs of its slots that have not ended, without those that wait.
        waiting: runs of its slots that wait for their turn.
    """

    slot: int = NONE
    since: int = 0
    paused: bool = False
    open: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Beat:
    """The reply to a scheduler's beat: the server's time, a state per schedule, the ids of the backfills that have not ended."""

    now_ms: int
    states: tuple[ScheduleState, ...]
    backfills: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause by a user: who, when, why, and when it ends by itself."""

    by: str
    at_ms: int
    note: str
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """What is stored of a schedule."""

    id: str
    slot: int | None  # the latest one that was dealt with
    since_ms: int
    seen_ms: int  # when a scheduler had it last
    run: str | None  # the latest run of a slot
    pause: Pause | None
    description: str  # what a scheduler said about it
    rivals: tuple[str, ...]  # two schedulers with other definitions of it
    rivals_ms: int  # when that was seen last
    open: tuple[str, ...]  # runs of its slots that have not ended; those that wait come last


@dataclass(frozen=True, slots=True)
class SlotEntry:
    """An entry of a schedule's log.

    Attributes:
        slot: the slot, of several the last one.
        outcome: run, skipped (by `overlap`), left_out (by `catch_up` or by a user) or refused (the flow is not valid).
        reason: more about it, "" where the outcome says it all.
        run: the run of the slot, or of skipped the one that was open.
        first: the first slot of those that were left out together.
        count: how many they are.
        at_ms: when it was decided.
    """

    slot: int
    outcome: str
    reason: str
    run: str
    first: int
    count: int
    at_ms: int


class Schedules:
    """The store's view of schedules."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    # -- schedulers -----------------------------------------------------------------------------------------------------------

    def beat(self, scheduler: str, entries: Sequence[tuple[str, str, bool]]) -> Beat:
        """Record that a scheduler lives; return the state of its schedules.

        Args:
            scheduler: its name.
            entries: id, digest of the definition, and whether the file pauses it.
        """
        flat = [part for entry in entries for part in entry]
        now, states, backfills = self._session.run("schedule/beat", scheduler, flat)
        return Beat(int(now), tuple(_state(row) for row in states), tuple(sorted(item.decode() for item in backfills)))

    def describe(self, texts: Mapping[str, str]) -> None:
        """Keep texts about schedules, by id, for users; they are not read here."""
        self._session.run("schedule/describe", [part for pair in texts.items() for part in pair])

    def claim_catalog(self, name: str, identity: str, *, take_over: bool = False) -> str:
        """Let the directory with this identity have a name, `take_over` also from another one; return the identity that has it."""
        return str(self._session.run("schedule/claim_catalog", name, identity, take_over)[1].decode())

    def leave(self, scheduler: str) -> None:
        """Remove a scheduler from those that are woken."""
        self._session.run("schedule/unregister", scheduler)

    def settle(
        self, claim: SlotClaim, outcome: str, reason: str = "", *, run: str = "", first: int | None = None, count: int = 1
    ) -> tuple[Outcome, str]:
        """Note that a slot is dealt with without a new run; arguments as of `SlotEntry`.

        Returns:
            `DONE`, `CONFLICT` (another scheduler was quicker), `SUSPENDED`, `TOO_EARLY`, `WRONG_STATE` (to be skipped, and no run is
            open), `NOT_FOUND` (that run is not of this slot); and the run in its place.
        """
        first = claim.slot if first is None else first
        arguments = (claim.schedule, claim.after, claim.slot, claim.due, outcome, reason, run, first, count)
        reply, holder = self._session.run("schedule/settle_slot", *arguments)
        return Outcome(reply.decode()), holder.decode()

    # -- triggers -------------------------------------------------------------------------------------------------------------

    def arm(self, trigger: str, definition: str, keys: Sequence[str] = ()) -> Outcome:
        """Let a trigger begin; `keys` are those of events that are there already and start nothing."""
        return Outcome(self._session.run("schedule/arm_trigger", trigger, definition, list(keys))[0].decode())

    def settle_event(self, claim: EventClaim, outcome: str = "", reason: str = "", run: str = "") -> Outcome:
        """Note that an event is dealt with without a new run; without an outcome (as of `SlotEntry`) the log does not mention it."""
        return Outcome(self._session.run("schedule/settle_event", claim.arguments(), outcome, reason, run)[0].decode())

    def see_events(self, trigger: str, keys: Sequence[str]) -> None:
        """Keep in mind that events are still there, so that they are not forgotten."""
        self._session.run("schedule/see_events", trigger, list(keys))

    def armed(self, trigger: str) -> tuple[str, str]:
        """Return the definition with which a trigger began ("" before that), and its cursor."""
        with self._session.translated:
            found = self._session.client.hmget(self._keys("schedule", trigger), "armed", "cursor")
        return (found[0] or b"").decode(), (found[1] or b"").decode()

    def unseen(self, trigger: str, keys: Sequence[str]) -> list[str]:
        """Return those of these events that were not dealt with."""
        if not keys:
            return []
        with self._session.translated:
            scores = self._session.client.zmscore(self._keys("events_seen", trigger), list(keys))
        return [key for key, score in zip(keys, scores, strict=True) if score is None]

    def ended_after(self, position: str, count: int) -> list[RunEnd]:
        """Return the first runs that ended after a position of the stream."""
        with self._session.translated:
            rows = self._session.client.xrange(self._keys("ended"), f"({position}", "+", count)
        return [
            _ended(seq.decode(), {name.decode(): value.decode("utf-8", "replace") for name, value in row.items()})
            for seq, row in rows
        ]

    def traced(self) -> str:
        """Return the position in the stream of ends up to which traces were sent; at first that of the latest end so far."""
        key = self._keys("traced")
        with self._session.translated:
            if (found := self._session.client.get(key)) is None:
                latest = self._session.client.xrevrange(self._keys("ended"), count=1)
                self._session.client.set(key, latest[0][0] if latest else "0-0", nx=True)
                found = self._session.client.get(key)
        return str(found.decode())

    def note_traced(self, position: str) -> None:
        """Note that the traces up to a position were sent."""
        with self._session.translated:
            self._session.client.set(self._keys("traced"), position)

    def is_gap(self, position: str) -> bool:
        """Return whether ends after a position of the stream may not be kept any more."""
        with self._session.translated:
            first = self._session.client.xrange(self._keys("ended"), "-", "+", 1)
            full = self._session.client.xlen(self._keys("ended")) >= ENDED_KEPT
        return bool(full and first) and order_of(position) < order_of(first[0][0].decode())

    def refuse(self, schedule: str, slot: int, reason: str, notices: str = "") -> Outcome:
        """Note, once per slot, that it did not fire because its flow is not valid; it stays missed. `notices`: as of a run's `notify`."""
        return Outcome(self._session.run("schedule/log_refusal", schedule, slot, reason, notices)[0].decode())

    # -- users ----------------------------------------------------------------------------------------------------------------

    def pause(self, schedule: str, by: str, note: str = "", until_ms: int | None = None) -> Outcome:
        """Let no slot fire from now on, until a time or until it is resumed."""
        until = NONE if until_ms is None else until_ms
        return Outcome(self._session.run("schedule/pause", schedule, by, note, until)[0].decode())

    def resume(self, schedule: str, *, catch_up: bool = False) -> Outcome:
        """End a pause by a user. What was missed is left out, unless `catch_up`: then its own policy decides."""
        return Outcome(self._session.run("schedule/resume", schedule, catch_up)[0].decode())

    def skip(self, schedule: str, first: int, count: int) -> Outcome:
        """Leave out the slots that are due; the first of them and their number are for the log."""
        return Outcome(self._session.run("schedule/skip", schedule, first, count)[0].decode())

    # -- reading --------------------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Return the ids of all schedules that a scheduler has had within a month."""
        with self._session.translated:
            return sorted(item.decode() for item in self._session.client.zrange(self._keys("schedules"), 0, -1))

    def schedulers(self, within_ms: int = 60_000) -> list[str]:
        """Return the names of the schedulers with a beat within this time."""
        oldest = self._session.now_ms() - within_ms
        with self._session.translated:
            found = self._session.client.zrangebyscore(self._keys("loops"), oldest, "+inf")
        return [item.decode() for item in found]

    def get_many(self, schedules: Iterable[str]) -> list[ScheduleRecord | None]:
        """Return what is stored of schedules, None of one that no scheduler has had."""
        wanted = list(schedules)
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for name in wanted:
                pipe.hgetall(self._keys("schedule", name))
                pipe.zscore(self._keys("schedules"), name)
                pipe.zrange(self._keys("holders", f"schedule/{name}"), 0, -1)
                pipe.zrange(self._keys("waiters", f"schedule/{name}"), 0, -1)
            replies = iter(pipe.execute())
        return [_record(name, *(next(replies) for _ in range(4))) for name in wanted]

    def log(self, schedule: str, limit: int = 1000) -> list[SlotEntry]:
        """Return the log of a schedule, newest first."""
        with self._session.translated:
            rows = self._session.client.xrevrange(self._keys("schedule_log", schedule), count=limit)
        return [_entry(seq.decode(), {name.decode(): value.decode() for name, value in row.items()}) for seq, row in rows]

    # -- runs

    def existing(self, runs: Sequence[str]) -> dict[str, str]:
        """Return the statuses of those of these runs that are there, by id."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            for run in runs:
                pipe.hget(self._keys("run", run), "status")
            found = pipe.execute()
        known = ((run, status.decode()) for run, status in zip(runs, found, strict=True) if status)
        return {run: status for run, status in known if status not in {"staging", "collecting"}}


def _ended(position: str, row: Mapping[str, str]) -> RunEnd:
    return RunEnd(position, row["r"], int(row["a"]), row["s"], row["f"], row["b"])


def _state(row: Sequence[Any]) -> ScheduleState:
    slot, since, paused, holding, waiting = (int(item) for item in row)
    return ScheduleState(slot, since, bool(paused), holding, waiting)


def _record(
    name: str, row: Mapping[bytes, bytes], seen: float | None, held: Sequence[bytes], waiting: Sequence[bytes]
) -> ScheduleRecord | None:
    if seen is None:
        return None
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    pause = None
    if "paused" in fields:
        until = fields.get("until")
        pause = Pause(
            fields.get("by", ""), int(fields["paused_at"]), fields.get("note", ""), None if until is None else int(until)
        )
    slot = int(fields.get("slot", NONE))
    return ScheduleRecord(
        id=name,
        slot=None if slot == NONE else slot,
        since_ms=int(fields.get("since", 0)),
        seen_ms=int(seen),
        run=fields.get("run"),
        pause=pause,
        description=fields.get("entry", ""),
        rivals=tuple(fields["rivals"].split("\n")) if "rivals" in fields else (),
        rivals_ms=int(fields.get("rivals_at", 0)),
        open=tuple(item.decode() for item in (*held, *waiting)),
    )


def _entry(seq: str, row: Mapping[str, str]) -> SlotEntry:
    at_ms = int(seq.partition("-")[0])
    return SlotEntry(int(row["s"]), row["o"], row["r"], row["u"], int(row["f"]), int(row["n"]), at_ms)
