"""Execution of whole runs through a driver, several jobs at a time, ending in random order."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flowq.plan import Plan
from flowq.store import Store
from flowq.store.schema.outcomes import Claim, Outcome
from tests.support.slot_driver import Driver

LOST = "lost"  # an outcome: the worker dies


@dataclass
class Drive:
    """The execution of a run to its end.

    `outcomes` are by name: finished (the default), failed, `failed!` (allowed), stopped, lost. `each` is called between two steps with
    the number of the step.
    """

    store: Store
    driver: Driver
    run: str
    outcomes: Mapping[str, str] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    each: Callable[[int], None] = lambda _step: None
    slots: int = 3
    order: list[str] = field(default_factory=list)  # names in the order of their claims
    together: Counter[str] = field(default_factory=Counter)  # maximal number of jobs that held a semaphore at once

    def to_the_end(self) -> list[str]:
        """Execute the run; return the names in the order of their claims."""
        plan = Plan.from_json(self.store.runs.plan(self.run))
        held: list[tuple[Claim, str]] = []
        step = 0
        while True:
            step += 1
            self.driver.settle()
            self.each(step)
            free = max(0, self.slots - len(held))
            for claim in self.driver.step(claims=free).claims if free else ():
                if claim is not None:
                    name = name_of(plan, claim)
                    self.order.append(name)
                    held.append((claim, self.outcomes.get(name, "finished")))
            self._count(held)
            if not held:
                self.driver.settle()
                if self.store.runs.require(self.run).ended or self.store.queues.count("default") == 0:
                    return self.order
                continue
            claim, wanted = held.pop(self.rng.randrange(len(held)))
            self._end(claim, wanted)

    def _end(self, claim: Claim, wanted: str) -> None:
        if wanted == LOST:
            self.driver.lose(claim)
            return
        self.driver.beat(claim)
        ended = self.driver.end(claim, wanted.removesuffix("!"), allowed=wanted.endswith("!"))
        assert ended is Outcome.DONE

    def _count(self, held: list[tuple[Claim, str]]) -> None:
        now = Counter(
            line.partition(" ")[2] for claim, _ in held for line in claim.fields.get("semaphores", "").split("\n") if line
        )
        for name, count in now.items():
            self.together[name] = max(self.together[name], count)


def name_of(plan: Plan, claim: Claim) -> str:
    """Return the name of a claimed job, also of a cell of a foreach."""
    assert claim.ordinal is not None
    if claim.ordinal < len(plan.cells):
        return plan.cells[claim.ordinal].name
    return f"{plan.cells[int(claim.fields['cell_of'])].name}[{claim.fields['index']}]"
