"""The engine of clusters, with a cluster that does what a test says, in this process: what real ones do only now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from flowq.worker.executor_settings import ExecutorSettings
from flowq.worker.executors import wire
from flowq.worker.executors.cluster import ClusterEngine
from tests.support.wait import until

if TYPE_CHECKING:
    from flowq.worker.executors.wire import Message


class OneMachine:
    """A cluster with one machine, `m`. `say` lets its node send messages, `finish` ends the task of a token."""

    def __init__(self) -> None:
        self.dropped = 0
        self.brought: list[Message] = []
        self.tasks: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._said: asyncio.Queue[Message] = asyncio.Queue()

    def say(self, *messages: Message) -> None:
        assert self._loop is not None
        for message in messages:
            self._loop.call_soon_threadsafe(self._said.put_nowait, message)

    def finish(self, token: str) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self.tasks[token].set)

    async def connect(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def machines(self) -> Collection[str]:
        return ["m"]

    def submit(self, token: str, _resources: object) -> asyncio.Event:
        self.tasks[token] = asyncio.Event()
        return self.tasks[token]

    async def failure(self, task: asyncio.Event) -> str:
        await task.wait()
        return ""

    def forget(self, _task: object, *, cancel: bool) -> None:  # noqa: ARG002 - what is asked of clusters
        return None

    async def pull(self, _machine: str) -> list[Message]:
        return [await self._said.get()]

    async def push(self, _machine: str, messages: list[Message]) -> None:
        self.brought += messages

    async def drop(self, _machines: list[str]) -> None:
        self.dropped += 1

    async def leave(self) -> None:
        pass


class Stand:
    """An engine whose owner takes notes. A context of the driver's thread: `until` does what the engine has posted."""

    def __init__(self) -> None:
        self.cluster = OneMachine()
        self.notes: list[tuple[object, ...]] = []
        self._posted: SimpleQueue[Callable[[], None]] = SimpleQueue()
        settings = ExecutorSettings("c", "dask", "flowq.toml", address="nowhere")
        self.engine = ClusterEngine(settings, self, self._posted.put, lambda _settings, _driver: self.cluster)

    def received(self, node: str, message: Message) -> None:
        self.notes.append(("received", node, message[0]))

    def lost(self, node: str, why: str) -> None:
        self.notes.append(("lost", node, why))

    def refused(self, token: str, why: str) -> None:
        self.notes.append(("refused", token, why))

    def until(self, condition: Callable[[], object]) -> None:
        def met() -> bool:
            while not self._posted.empty():
                self._posted.get()()
            return bool(condition())

        until(met)


@pytest.fixture
def stand() -> Iterator[Stand]:
    one = Stand()
    one.engine.start("a", {})
    one.until(lambda: "a" in one.cluster.tasks)
    yield one
    one.engine.close()


def test_a_node_that_was_given_up_is_granted_nothing_and_dropped_again(stand: Stand) -> None:
    stand.cluster.say((wire.HELLO, "0", "host"))
    stand.until(lambda: stand.engine.nodes() == ["m"])
    stand.engine.lose("m", "it has not answered")
    stand.until(lambda: stand.cluster.dropped == 1)
    stand.cluster.say((wire.ALIVE,), (wire.READY, "a", "number"))
    stand.until(lambda: stand.cluster.dropped == 3)
    assert stand.notes == [
        ("received", "m", wire.HELLO),
        ("lost", "m", "it has not answered"),
        ("refused", "a", "executor c: node m was given up before the job began"),
    ]
    stand.cluster.say((wire.HELLO, "0", "host"), (wire.READY, "b", "number"))
    stand.until(lambda: stand.notes[3:] == [("received", "m", wire.HELLO), ("received", "m", wire.READY)])


def test_a_job_whose_task_ends_before_it_began_goes_back(stand: Stand) -> None:
    stand.cluster.finish("a")
    stand.until(lambda: stand.notes)
    assert stand.notes == [("refused", "a", "executor c: the cluster could not start the job: its node has ended before")]


def test_a_task_that_was_taken_back_is_not_refused(stand: Stand) -> None:
    stand.engine.start("b", {})
    stand.until(lambda: "b" in stand.cluster.tasks)
    stand.engine.cancel("a")
    stand.cluster.finish("a")
    stand.cluster.finish("b")
    stand.until(lambda: stand.notes)
    assert [note[:2] for note in stand.notes] == [("refused", "b")]
