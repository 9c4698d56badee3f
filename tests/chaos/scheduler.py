"""A scheduler of one flow that is due every second, and that may be killed at any moment. A round has several."""

import time
from typing import Final

from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.scheduler import Scheduler
from tests.chaos.submitter import connect
from tests.chaos.workload import tick
from tests.schedules.flows import Flow, Flows

EVERY: Final = 1000  # ms
_LOOK: Final = 0.2  # s


def main() -> None:
    """Schedule until the process is killed."""
    entry = Entry(name="default", every=EVERY, catch_up=CatchUp(mode="all"), overlap="allow")
    scheduler = Scheduler(connect(), Flows.of(Flow("tick", (entry,), text=tick())))
    while True:
        time.sleep(min(_LOOK, scheduler.turn(called=False)))


if __name__ == "__main__":
    main()
