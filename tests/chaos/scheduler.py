"""A scheduler of one flow that is due every second, and that may be killed at any moment. A round has several."""

import signal
import time
from typing import Final

from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.scheduler import Scheduler
from tests.chaos.submitter import connect
from tests.chaos.workload import tick
from tests.schedules.flows import Flow, Flows

EVERY: Final = 1000  # ms
_LOOK: Final = 0.2  # s
_LAST: Final = 5  # turns: a call of one may still be lost


def main() -> None:
    """Schedule until the process is killed; after SIGTERM finish what is due, so that no upload is left half done."""
    entry = Entry(name="default", every=EVERY, catch_up=CatchUp(mode="all"), overlap="allow")
    scheduler = Scheduler(connect(), Flows.of(Flow("tick", (entry,), text=tick())))
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    while not asked:
        time.sleep(min(_LOOK, scheduler.turn(called=False)))
    for _ in range(_LAST):
        time.sleep(min(_LOOK, scheduler.turn()))


if __name__ == "__main__":
    main()
