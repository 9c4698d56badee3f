"""Traces of the model of slots on the real scripts: after every call the store must have the state of the model.

The clock of the model is in the calls: a scheduler computes when a slot is due, and says so. A slot that is not due yet is due in an hour.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from flowq.flows.actions.submit import run_fields, staged_jobs
from flowq.slots.series import slot_id
from flowq.store import Store
from flowq.store.run_upload import calls as upload_calls
from flowq.store.schedules import NONE, SlotClaim
from flowq.store.schema.outcomes import Outcome
from tests.model.replay import DiffersError
from tests.model.slots import SLOTS, USER, Call, Slots, State
from tests.support import graphs

SCHEDULE = "flows/model:default"
PLAN = graphs.plan({"a": []})
HOUR = 3_600_000


class SlotsReplay:
    """The schedule in a store that was emptied before. Slot n of the model is n ms; its run is made of schedule and slot."""

    def __init__(self, store: Store, model: Slots) -> None:
        store.client.flushall()
        store.open()
        self.store = store
        self.overlap = "skip" if model.skip else "allow"
        self.due = [store.now_ms() + HOUR] * SLOTS
        self.seen = {USER: NONE, 0: NONE, 1: NONE}
        store.schedules.beat("model", [(SCHEDULE, "definition", False)])

    def call(self, call: Call) -> str:
        """Make a call; return its answer in the words of the model."""
        slot = call.slot
        match call.name:
            case "tick":
                self.due[self.due.count(0)] = 0
            case "look":
                self.seen[call.scheduler] = self._done()
            case "end":
                self.store.runs.cancel(self._run(slot))
            case "expire":
                self.store.session.run("run/collect_garbage", self._run(slot), 100)
            case "upload":
                return self._upload(call)
            case "create" | "by hand":
                return str(self._submit(call))
            case _:
                return str(self.store.schedules.settle(self._claim(call), "run", run=self._run(slot))[0])
        return "done"

    def _claim(self, call: Call) -> SlotClaim:
        if call.scheduler == USER:
            return SlotClaim("hand", SCHEDULE, call.slot)
        after = self.seen[call.scheduler]
        return SlotClaim("slot", SCHEDULE, call.slot, after, self.due[call.slot - 1], self.overlap)

    def _submit(self, call: Call) -> Outcome:
        run = self._run(call.slot)
        outcome, _ = self.store.runs.submit_slot(
            run,
            f"scheduler {call.scheduler}",
            staged_jobs(PLAN, run),
            self._claim(call),
            plan=PLAN.to_json().encode(),
            directory="/nowhere",
            fields=run_fields(PLAN, local=False, queue_prefix="", labels={}),
        )
        return outcome

    def _upload(self, call: Call) -> str:
        """Upload as a scheduler that dies before it creates the run."""
        run = self._run(call.slot)
        answers = [
            self.store.session.run("run/upload_jobs", *arguments)[0].decode()
            for arguments in upload_calls(run, f"scheduler {call.scheduler}", staged_jobs(PLAN, run), PLAN.to_json().encode())
        ]
        return str(answers[-1])

    # -- comparison -----------------------------------------------------------------------------------------------------------

    def differences(self, state: State) -> list[str]:
        """Return what is not in the store as it is in the model."""
        open_runs = sorted(self._run(slot) for slot, run in enumerate(state.runs, 1) if run and run[1] and run[0] != USER)
        wanted = {
            "latest slot": (state.done or NONE, self._done()),
            "runs": (list(state.runs), [self._run_of(slot) for slot in range(1, SLOTS + 1)]),
            "uploads": (list(state.uploads), [self._upload_of(slot) for slot in range(1, SLOTS + 1)]),
            "outcomes": (list(state.outcomes), self._outcomes()),
            "open runs": (open_runs, self._holders()),
        }
        return [f"{name}: {found}, in the model {model}" for name, (model, found) in wanted.items() if model != found]

    def _done(self) -> int:
        found = self.store.client.hget(self.store.session.keys("schedule", SCHEDULE), "slot")
        return NONE if found is None else int(found)

    def _fields(self, slot: int) -> tuple[str, int] | None:
        """Return the status of a run, and whose nonce it has."""
        found: list[Any] = self.store.client.hmget(self.store.session.keys("run", self._run(slot)), "status", "nonce")
        status, nonce = found
        return None if status is None or nonce is None else (status.decode(), int(nonce.decode().rpartition(" ")[2]))

    def _run_of(self, slot: int) -> tuple[int, bool] | None:
        found = self._fields(slot)
        return None if found is None or found[0] == "staging" else (found[1], found[0] in {"running", "queued"})

    def _upload_of(self, slot: int) -> int | None:
        found = self._fields(slot)
        return found[1] if found is not None and found[0] == "staging" else None

    def _outcomes(self) -> list[int]:
        noted = Counter(entry.slot for entry in self.store.schedules.log(SCHEDULE) if entry.reason != "by_hand")
        return [noted[slot] for slot in range(1, SLOTS + 1)]

    def _holders(self) -> list[str]:
        held: list[Any] = self.store.client.zrange(self.store.session.keys("holders", f"schedule/{SCHEDULE}"), 0, -1)
        return sorted(item.decode() for item in held)

    def _run(self, slot: int) -> str:
        return slot_id(SCHEDULE, str(slot))


def replay_slots(store: Store, model: Slots, calls: list[Call]) -> None:
    """Make the calls of a trace on the store.

    Raises:
        DiffersError: the store answers or has something else than the model; with the trace until there.
    """
    real, state = SlotsReplay(store, model), State()
    for number, call in enumerate(calls, 1):
        state, answer = model.apply(state, call)
        told = real.call(call)
        problems = real.differences(state)
        if told != answer:
            problems.append(f"the store answers {told}, the model {answer}")
        if problems:
            raise DiffersError("\n  ".join(["; ".join(problems), "after", *map(str, calls[:number])]))


def replay_all(store: Store, model: Slots, every: Iterable[list[Call]]) -> None:
    """Replay traces one after the other, each from the start."""
    for calls in every:
        replay_slots(store, model, calls)
