"""Messages between driver and nodes that come twice, late, in another order or from another node: none of them starts or ends an execution.

No engine does that today, because pipes and clusters keep order; the protocol does not rely on it, as an engine starts a token as often as it likes.
Driver, lanes and the bookkeeping of nodes are those of production, as in `executors_replay`. What is lost by such links (a grant that
meets no place) ends with the job's timeout; here only what must never happen is looked at.
"""

import logging
import random
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from flowq.worker.executors import driver, stand_in, wire
from flowq.worker.ipc import channel as ipc
from flowq.worker.node import node
from tests.model.executors import EXECUTIONS, NODES, Call
from tests.model.executors_replay import WELL, ExecutorReplay, Message, edited_module

STORIES = 250
LENGTH = 60
END = "end"  # of a horse, towards the supervisor


class BadLinks(ExecutorReplay):
    """A driver and two nodes, whose links do what `dice` say.

    `granted` are the nodes that each token was granted to, `begun` those that began it, `told` what the supervisor was told of each execution.
    """

    def __init__(self, dice: random.Random, driver_module: ModuleType, node_module: ModuleType) -> None:
        super().__init__(driver_module, node_module)
        self._dice = dice
        self.granted: dict[str, list[int]] = {}
        self.begun: Counter[tuple[str, int]] = Counter()
        self.told: dict[int, list[str]] = {execution: [] for execution in EXECUTIONS}

    def step(self) -> None:
        """Let something happen."""
        kinds = ["claim"] * 2 + ["start"] * 3 + ["deliver"] * 8 + ["receive"] * 8 + ["end"] * 3 + ["refuse", "cut", "stray"]
        kind, at = self._dice.choice(kinds), self._dice.choice(NODES)
        known = sorted(self._tokens)
        match kind:
            case "claim" if len(known) < len(EXECUTIONS):
                self.call(Call("claim", execution=len(known)))
            case "start" | "refuse" if known:
                self.call(Call(kind, at, self._dice.choice(known)))
            case "deliver" if self._to_node[at]:
                self._deliver(at, self._pick(self._to_node[at]))
            case "receive" if self._to_driver[at]:
                self._receive(self._dice.choice([at, at, at, 1 - at]), self._pick(self._to_driver[at]))
                self._look()
            case "end" if self._nodes[at].running:
                token = self._dice.choice(self._nodes[at].running)
                self._nodes[at].running.remove(token)
                self._to_driver[at].append((wire.OUTCOME, token, dict(WELL)))
            case "stray" if known and at not in self.granted.get(token := self._tokens[self._dice.choice(known)], []):
                self._receive(at, (wire.OUTCOME, token, dict(WELL)))
                self._look()
            case "cut" if self._names[at]:
                self._driver.lost(self._names[at], "the story says so")
                self._names[at] = f"{self._names[at]}, again"  # what is on its way to and from the former one is late
                self._look()
            case _:
                pass

    def _pick(self, box: list[Message]) -> Message:
        """Return any message of a link; now and then it comes again later."""
        number = self._dice.randrange(len(box))
        return box[number] if self._dice.random() < 0.3 else box.pop(number)

    def _deliver(self, at: int, message: Message) -> None:
        node, before = self._nodes[at], len(self._nodes[at].running)
        node.receive(message)
        self._to_driver[at] += node.said
        node.said.clear()
        for token in node.running[before:]:
            self.begun[token, at] += 1

    def _look(self) -> None:
        for at in NODES:
            for message in self._engine.sent.pop(self._names[at], []):
                self._to_node[at].append(message)
                if message[0] == wire.GRANT:
                    self.granted.setdefault(message[1], []).append(at)
        for execution, lane in self._lanes.items():
            for message in everything(lane):
                self.told[execution].append("back" if "unstarted" in message else str(message["outcome"]))
        for message in everything(self._control):
            if message[0] in {ipc.FENCED, ipc.EXITED}:
                self.told[message[1]].append("fenced" if message[0] == ipc.FENCED else END)

    def broken(self) -> list[str]:
        """Return what must not be."""
        found = []
        for token, number in Counter(token for token, _ in self.begun.elements()).items():
            where = self.granted.get(token, [])
            if number > 1 or len(where) > 1 or (token, *where) not in self.begun:
                found.append(f"execution {self._execution(token)} has begun {number} times, and was granted to {where}")
        for execution, told in self.told.items():
            token = self._tokens.get(execution, "")
            begun = any(self.begun[token, at] for at in NODES)
            if len([word for word in told if word != END]) > 1 or told[:-1].count(END):
                found.append(f"the supervisor was told {told} of execution {execution}")
            if "back" in told and begun:
                found.append(f"execution {execution} went back to its queue, and has begun")
            if "finished" in told and (not begun or any(token in node.running for node in self._nodes)):
                found.append(f"execution {execution} counts as finished, and has not come to its end")
        return found


def everything(channel: Any) -> list[Any]:
    try:
        return [message for message, _ in channel.receive()]
    except (ipc.PeerGoneError, OSError):
        return []


def play(seed: int, driver_module: ModuleType = driver, node_module: ModuleType = node) -> list[str]:
    """Play a story; return what is broken in it first."""
    story = BadLinks(random.Random(seed), driver_module, node_module)
    try:
        for _ in range(LENGTH):
            story.step()
            if found := story.broken():
                return found
        return []
    finally:
        story.close()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)  # of nodes that are lost


def test_no_message_that_is_late_or_comes_again_counts() -> None:
    assert {seed: found for seed in range(STORIES) if (found := play(seed))} == {}


IN_PRODUCTION: dict[str, tuple[ModuleType, str, str]] = {
    "what is ready again is granted again": (driver, "if lane is None or lane.stage is not Stage.ASKED:", "if lane is None:"),
    "a refusal takes back what is granted": (driver, "if lane is not None and lane.stage is Stage.ASKED:\n            lane.hand_back", "if lane is not None:\n            lane.hand_back"),
    "the node of a message does not matter": (driver, "if lane is not None and lane.node == node:", "if lane is not None:"),
    "an outcome that comes again is told again": (stand_in, "if self._outcome is not None and not self._told:", "if self._outcome is not None:"),
    "a grant that can be used again": (node, "                    del self._places[token]\n", ""),
    "a grant of an earlier place": (node, "if granted == number:", "if granted:"),
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PRODUCTION)
def test_a_mistake_in_driver_or_node_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, right, wrong = IN_PRODUCTION[name]
    changed = edited_module(module, right, wrong)
    modules = {item.__name__: item for item in (driver, node, changed)}
    if module is stand_in:
        monkeypatch.setattr(driver, "StandIn", changed.StandIn)
        monkeypatch.setattr(driver, "Stage", changed.Stage)
    played = (play(seed, modules[driver.__name__], modules[node.__name__]) for seed in range(STORIES))
    assert any(played), "no story goes wrong"
