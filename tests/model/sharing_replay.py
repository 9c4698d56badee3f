"""Traces of the model of shared processes on the real slots, lanes and client of a fork server: after every call they must have its state.

The fork server and its horses are played, over the real channels; what a horse tells is read when the trace says so.
"""

import os
import signal
import subprocess
from collections.abc import Iterable
from types import ModuleType
from typing import Any, Self

import pytest

from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc.channel import Channel
from flowq.worker.supervisor import slot as slots
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers import client as clients
from flowq.worker.supervisor.fork_servers import lane as lanes
from tests.model.replay import DiffersError
from tests.model.sharing import (
    BADLY,
    ENDS,
    FAILS,
    GOES,
    GROUPS,
    IN_SLOTS,
    JUNK,
    LOOKS,
    RUNNING,
    SLOTS,
    STAYS,
    WAITING,
    WELL,
    Call,
    Sharing,
    State,
)

FAILED = {"outcome": "failed", "reason": "error", "error": "as asked", "exception": "", "exit_code": None}
FINISHED = {"outcome": "finished", "value": b"null", "exit_code": 0}
TOLD: dict[str, Any] = {
    LOOKS: FINISHED | {"looks": True},
    STAYS: {"stays": True},
    GOES: {"stays": False},
    ENDS: FINISHED,
    FAILS: FAILED,
    JUNK: "what a job has written",
}
NO_PROCESS = 1 << 30


class Supervisor:
    """Two slots and a fork server, from the start of a trace. `parent` stands for the process of the fork server."""

    def __init__(self, parent: int, modules: dict[str, ModuleType]) -> None:
        self._loop = Loop()
        ours, self._control = Channel.pair()
        self._client = modules[clients.__name__].ForkServerClient(self._loop, ours, parent)
        self._slots = [modules[slots.__name__].Slot(self._loop, self, index) for index in range(SLOTS)]
        self._jobs = [WAITING] * len(GROUPS)
        self._streams: dict[int, Channel] = {}  # by the number of a lane: the end of its horses
        self._horses: list[int] = []  # the numbers of the lanes in the order in which they got a job
        self._signaled: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            slot._output.close()  # no end of a horse does that here
        self._client.hang_up()
        for lane in self._client._lanes.values():
            lane.drop_pipes()
        for channel in (self._control, *self._streams.values()):
            channel.close()
        self._loop.close()

    # -- owner of the slots

    def ended(self, slot: Any, end: Ended) -> None:
        """Note the end of a job."""
        self._jobs[slot.task["number"]] += f" {WELL if end.outcome['outcome'] == 'finished' else BADLY}"

    def freed(self, _slot: Any) -> None:
        """Nothing follows."""

    # -- calls

    def call(self, call: Call) -> None:
        """Make a call."""
        match call.name:
            case "give":
                self._give(call.number)
            case "tell" | "junk":
                self._streams[self._horses[call.number]].send(TOLD[call.how or JUNK])
            case "read":
                self._lane(call.number)._readable()
            case "kill":
                (slot,) = (slot for slot in self._slots if slot._lane is self._lane(call.number))
                slot.kill(KillCause.CANCEL)
            case "exit":
                self._control.send((ipc.EXITED, self._horses[call.number], -signal.SIGKILL, 0))
                self._client._readable()
            case _:
                pass  # of a horse alone; the fork server tells later
        self._obey()

    def _give(self, job: int) -> None:
        self._jobs[job] = RUNNING
        slot = next(slot for slot in self._slots if slot.free)
        task = {"id": f"j{job}", "name": "job", "kind": "call", "number": job, "batch": 9, "flow_dir": GROUPS[job], "cwd": None}
        slot.start(task, self._client)
        self._obey()
        if slot._lane is None:  # a new horse is wanted: the oldest lane gets one
            number = next(number for number, lane in self._client._lanes.items() if not lane.pid)
            self._control.send((ipc.HORSE, number, NO_PROCESS + number))
            self._client._readable()
            self._obey()
        number = slot._lane.number
        if number not in self._horses:
            self._horses.append(number)
        for _, pipes in self._streams[number].receive():
            for pipe in pipes:
                os.close(pipe)

    def _obey(self) -> None:
        """Do what the client asks of the fork server."""
        for message, fds in self._control.receive():
            if message[0] == ipc.LANE:
                self._streams[message[1]] = Channel.adopt(fds[0])
            elif message[0] == ipc.KILL:
                self._signaled.add(message[1])

    def _lane(self, horse: int) -> Any:
        return self._client._lanes[self._horses[horse]]

    # -- comparison

    def differences(self, state: State) -> list[str]:
        """Return what is not as in the model."""
        at_work = {number: horse.had[-1] for number, horse in enumerate(state.horses) if horse.stage in IN_SLOTS}
        there = {number for number, horse in enumerate(state.horses) if horse.had}
        wanted = {
            "jobs": (list(state.jobs), [text.rpartition(" ")[2] for text in self._jobs]),
            "ends": (1, max(1, *(text.count(" ") for text in self._jobs))),
            "in slots": (at_work, {self._number(slot._lane): slot.task["number"] for slot in self._slots if slot.task}),
            "kept": (list(state.kept), [self._number(lane) for _, lane in self._client._kept]),
            "there": (there, {self._number(lane) for lane in self._client._lanes.values() if lane.number in self._horses}),
            "signaled": (
                {number for number in there if state.horses[number].signaled},
                {number for number, lane in enumerate(self._horses) if number in there and lane in self._signaled},
            ),
        }
        return [f"{name}: {found}, in the model {model}" for name, (model, found) in wanted.items() if model != found]

    def _number(self, lane: Any) -> int:
        return self._horses.index(lane.number)


def replay_all(model: Sharing, every: Iterable[list[Call]], *changed: ModuleType) -> None:
    """Replay traces one after the other, each from the start; `changed`: modules in the place of those of production.

    Raises:
        DiffersError: the supervisor has something else than the model; with the trace until there.
    """
    modules = {module.__name__: module for module in (slots, clients, lanes, *changed)}
    with subprocess.Popen(["sleep", "600"]) as parent, pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules[clients.__name__], "Lane", modules[lanes.__name__].Lane)
        try:
            for calls in every:
                _replay(model, calls, parent.pid, modules)
        finally:
            parent.kill()


def _replay(model: Sharing, calls: list[Call], parent: int, modules: dict[str, ModuleType]) -> None:
    state = model.start()
    with Supervisor(parent, modules) as real:
        for number, call in enumerate(calls, 1):
            state = model.apply(state, call)
            real.call(call)
            if problems := real.differences(state):
                raise DiffersError("\n  ".join(["; ".join(problems), "after", *map(str, calls[:number])]))
