"""A process that runs schedulers as its children and kills them at random: `python -m tests.schedules.victims SETTINGS`.

SETTINGS is JSON: `urls` (each scheduler takes one of them), `namespace`, `schedulers`, `seconds` and `deaths` (at least), `seed`, `every` (ms between two slots), `name`.
Besides the random kills, a scheduler kills itself at a point of its own: before or after a call that stages a run, publishes it or notes a slot, or
when it has the reply.
"""

import json
import os
import random
import select
import signal
import sys
import time
from typing import Any, NoReturn

from flowq.connections.clients import open_store
from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.scheduler import Scheduler
from flowq.store.client.session import Session
from tests.schedules.flows import Flow, Flows

POINTS = ("run/upload_jobs", "run/publish", "schedule/beat", "schedule/settle_slot")


def flow(every: int, *, overlap: str = "allow", changed: bool = False) -> Flow:
    """Return a flow with a schedule in which each slot counts, also those of an hour ago. `changed`: another text of it."""
    entry = Entry(name="default", every=every, overlap=overlap, catch_up=CatchUp(mode="all", max=3_600_000 // every))
    return Flow("nightly", (entry,), f"jobs: {{{'b' if changed else 'a'}: {{run: 'true'}}}}\n")


def main() -> None:
    """Keep as many schedulers alive as asked for, and kill one after the other."""
    settings = json.loads(sys.argv[1])
    rng = random.Random(settings["seed"])
    children = {child(settings, rng.random()) for _ in range(settings["schedulers"])}
    end = time.monotonic() + settings["seconds"]
    deaths = 0
    while time.monotonic() < end or deaths < settings.get("deaths", 0):
        select.select((), (), (), rng.uniform(0.02, 0.3))
        os.kill(rng.choice(sorted(children)), signal.SIGKILL)
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            deaths += 1
            children.discard(pid)
            children.add(child(settings, rng.random()))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    sys.stdout.write(str(deaths))


def child(settings: dict[str, Any], seed: float) -> int:
    """Fork a scheduler; return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        live(settings, random.Random(seed))
    finally:
        os._exit(1)


def live(settings: dict[str, Any], rng: random.Random) -> NoReturn:
    """Be a scheduler, until killed."""
    die_at_a_point(rng)
    store = open_store(rng.choice(settings["urls"]), settings["namespace"])
    catalog = Flows.of(flow(settings["every"], changed=rng.random() < settings.get("changed", 0.0)))
    while True:
        Scheduler(store, catalog).run()


def die_at_a_point(rng: random.Random) -> None:
    """Choose a call at which this process kills itself, before it is sent or when the reply is there; or none."""
    point, when, number = rng.choice([*POINTS, ""]), rng.choice(["before", "after"]), rng.randint(1, 6)
    run, count = Session.run, 0

    def run_and_die(self: Session, name: str, *arguments: object) -> Any:
        nonlocal count
        count += name == point
        if count == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        reply = run(self, name, *arguments)
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return reply

    Session.run = run_and_die  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
