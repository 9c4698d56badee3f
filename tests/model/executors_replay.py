"""Traces of the model of executors on the real driver and the real nodes: after every call they must have the state of the model.

The engine, the links and what a node executes are played; driver, lanes and the bookkeeping of nodes are those of production.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from flowq.bundles.cache import BundleCache
from flowq.worker.executors import driver, wire
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc.channel import Channel, PeerGoneError
from flowq.worker.node import node as nodes
from tests.model.executors import (
    ASKED,
    BACK,
    EXECUTIONS,
    FENCED,
    FINISHED,
    GRANTED,
    NEW,
    NODES,
    Call,
    Executor,
    State,
)
from tests.model.replay import DiffersError

Message = tuple[Any, ...]

WELL: Mapping[str, Any] = {"outcome": "finished", "value": b"null", "exit_code": 0}


def edited_module(module: ModuleType, right: str, wrong: str) -> ModuleType:
    """Return a module with a mistake in its text."""
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.origin is not None
    text = Path(spec.origin).read_text()
    assert text.count(right) == 1, f"{module.__name__} does not contain {right!r} once"
    changed = ModuleType(module.__name__)
    exec(compile(text.replace(right, wrong), spec.origin, "exec"), changed.__dict__)  # noqa: S102
    return changed


class _Engine:
    """An engine that does what the trace says."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self.sent: dict[str, list[Message]] = {}

    def start(self, token: str, _resources: object) -> None:
        self.tokens.append(token)

    def send(self, node: str, message: Message) -> None:
        self.sent.setdefault(node, []).append(message)

    def __getattr__(self, _name: str) -> Callable[..., None]:  # what else a driver tells is not needed here
        return lambda *_: None


class _Node:
    """A node: the real bookkeeping of what may be granted; what it takes is noted instead of executed."""

    def __init__(self, module: ModuleType) -> None:
        self.said: list[Message] = []
        self.running: list[str] = []
        node, taken, said = self, self.running, self.said

        class Bookkeeping(module.ExecutorNode):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                self._places: dict[str, tuple[str, dict[str, str]]] = {}
                self._heard = 0.0
                self._stream = node

            def _take(self, execution: Any) -> None:
                taken.append(execution.token)

            def _kill(self, token: str, _number: int) -> None:
                if token in taken:
                    taken.remove(token)

        self._real = Bookkeeping()
        self.send: Callable[[Message], None] = said.append

    @property
    def ready(self) -> set[str]:
        """The tokens that may be granted."""
        return set(self._real._places)

    def receive(self, message: Message) -> None:
        """Let it handle a message."""
        self._real._received(message)


class ExecutorReplay:
    """A driver and its nodes, from the start of a trace."""

    def __init__(self, driver_module: ModuleType, node_module: ModuleType) -> None:
        self._modules = driver_module, node_module
        self._engine = _Engine()
        self._tokens: dict[int, str] = {}
        self._lanes: dict[int, Channel] = {}
        self._told: dict[int, str] = {}  # what the supervisor knows of each execution
        self._to_node: list[list[Message]] = [[] for _ in NODES]
        self._to_driver: list[list[Message]] = [[] for _ in NODES]
        self._names = [f"node {node}" for node in NODES]
        self._nodes = [_Node(node_module) for _ in NODES]
        self._begin_driver()

    def close(self) -> None:
        """Close what the driver has, which ends with its process elsewhere."""
        for end in (self._driver._wake_read, self._driver._wake_write):
            os.close(end)
        self._driver._loop.close()
        self._control.close()
        for lane in self._lanes.values():
            lane.close()

    def _begin_driver(self) -> None:
        self._control, theirs = Channel.pair()
        self._driver = self._modules[0].Driver(theirs, lambda *_: self._engine, BundleCache("/nowhere"))

    def call(self, call: Call) -> None:
        """Make a call."""
        node, execution = call.node, call.execution
        match call.name:
            case "claim":
                self._claim(execution)
            case "start":
                self._to_node[node].append((wire.START, self._tokens[execution], {}))
            case "deliver":
                self._nodes[node].receive(self._to_node[node].pop(0))
                self._to_driver[node] += self._nodes[node].said
                self._nodes[node].said.clear()
            case "receive":
                self._receive(node, self._to_driver[node].pop(0))
            case "end":
                self._nodes[node].running.remove(self._tokens[execution])
                if self._names[node]:
                    self._to_driver[node].append((wire.OUTCOME, self._tokens[execution], dict(WELL)))
            case "cut":
                self._driver.lost(self._names[node], "the trace says so")
                self._cut(node)
            case "driver dies":
                self._told |= dict.fromkeys(
                    (number for number in self._lanes if self._told[number] in {ASKED, GRANTED}), FENCED
                )
                self.close()
                self._lanes.clear()
                for number in NODES:
                    self._cut(number)
                self._begin_driver()
            case "refuse":
                self._driver.refused(self._tokens[execution], "the trace says so")
            case "join":
                self._names[node] = f"another node {node}"
            case _:
                pass
        self._look()

    def _claim(self, execution: int) -> None:
        ours, theirs = Channel.pair()
        self._control.send((ipc.LANE, execution), (theirs.fileno(),))
        self._driver._obey_all()
        theirs.close()
        ours.send((1, {"name": "job"}, {}))
        self._driver._loop.turn(0)
        self._tokens[execution] = self._engine.tokens[-1]
        self._lanes[execution] = ours
        self._told[execution] = ASKED

    def _receive(self, node: int, message: Message) -> None:
        self._driver.received(self._names[node], message)
        if message[0] == wire.OUTCOME:
            self._driver.received(self._names[node], (wire.EXITED, message[1]))

    def _cut(self, node: int) -> None:
        self._names[node] = ""
        self._to_node[node].clear()
        self._to_driver[node].clear()
        self._nodes[node]._real._places.clear()

    def fence(self, node: int) -> None:
        """Let a node kill what it executes."""
        self._nodes[node].running.clear()

    def _look(self) -> None:
        """Take note of what the driver has sent and told."""
        for node in NODES:
            sent = self._engine.sent.pop(self._names[node], [])
            self._to_node[node] += sent
            for message in sent:
                if message[0] == wire.GRANT:
                    self._told[self._execution(message[1])] = GRANTED
        for execution, lane in self._lanes.items():
            with suppress(PeerGoneError):
                for message, _ in lane.receive():
                    self._told[execution] = BACK if "unstarted" in message else FINISHED
        for message, _ in self._control.receive():
            if message[0] == ipc.FENCED:
                self._told[message[1]] = FENCED

    def _execution(self, token: str) -> int:
        return next(execution for execution, known in self._tokens.items() if known == token)

    # -- comparison -----------------------------------------------------------------------------------------------------------

    def differences(self, state: State) -> list[str]:
        """Return what is not as in the model."""
        wanted = {
            "fates": (state.fates, tuple(self._told.get(execution, NEW) for execution in EXECUTIONS)),
            "running": (state.running, self._places(lambda node: node.running)),
            "ready": (state.ready, self._places(lambda node: node.ready)),
            "to nodes": (state.to_node, self._letters(self._to_node)),
            "to the driver": (state.to_driver, self._letters(self._to_driver)),
        }
        return [f"{name}: {found}, in the model {model}" for name, (model, found) in wanted.items() if model != found]

    def _places(self, tokens: Callable[[_Node], Iterable[str]]) -> frozenset[tuple[int, int]]:
        return frozenset((number, self._execution(token)) for number, node in enumerate(self._nodes) for token in tokens(node))

    def _letters(self, boxes: list[list[Message]]) -> tuple[tuple[tuple[str, int], ...], ...]:
        return tuple(tuple((str(message[0]), self._execution(message[1])) for message in box) for box in boxes)


def replay(model: Executor, calls: list[Call], driver_module: ModuleType = driver, node_module: ModuleType = nodes) -> None:
    """Make the calls of a trace.

    Raises:
        DiffersError: driver or nodes have something else than the model; with the trace until there.
    """
    real, state = ExecutorReplay(driver_module, node_module), model.start()
    try:
        for number, call in enumerate(calls, 1):
            before, state = state, model.apply(state, call)
            real.call(call)
            for node in NODES:
                if before.age[node] == 0 and state.age[node] == 1:
                    real.fence(node)
            if problems := real.differences(state):
                raise DiffersError("\n  ".join(["; ".join(problems), "after", *map(str, calls[:number])]))
    finally:
        real.close()


def replay_all(model: Executor, every: Iterable[list[Call]], *changed: ModuleType) -> None:
    """Replay traces one after the other, each from the start; `changed`: modules in the place of driver or node."""
    modules = {module.__name__: module for module in (driver, nodes, *changed)}
    for calls in every:
        replay(model, calls, modules[driver.__name__], modules[nodes.__name__])
