"""What an engine has to do, and what it may call: the whole interface between the driver and the ways to other machines.

An engine gets nodes started and carries messages to and from them. It decides nothing about jobs. What it can rely on, and must do:

* All methods are called in the driver's thread and must not block. An engine with threads of its own calls the owner through `Post`.
* `start` asks for an execution place for a token: the engine lets some node receive `START` with it. It may do so late (a queue of a cluster),
  again (a task that the cluster repeats) and at several nodes; the driver grants one. It keeps nothing secret: it never sees a task.
* A node is named by the engine; the name is shown to users. Messages of one node arrive in their order, or the node is lost.
* When a node cannot be reached any more, `lost` is called once, and no message of that node comes after it. When a token will not be started,
  because the engine cannot be used or says no, `refused` is called. Neither is called for what was canceled.
* `cancel` takes back a token that was not granted: the engine does not start it, if that can be. `done` tells that a token has ended.
* `close` ends all nodes at once, with everything that runs on them. Nodes end by themselves when they lose their driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from flowq.worker.executors.wire import Message

    Resources: TypeAlias = Mapping[str, float]
    """What a job asks for, by name: see `flowq.plan.resources`."""
    Post: TypeAlias = Callable[[Callable[[], None]], None]
    """Lets a function be called in the driver's thread; may be called in any thread."""


class EngineOwner(Protocol):
    """The driver, as an engine sees it. To be called in the driver's thread."""

    def received(self, node: str, message: Message) -> None:
        """Handle a message of a node."""

    def lost(self, node: str, why: str) -> None:
        """Handle the loss of a node: what was granted there is fenced."""

    def refused(self, token: str, why: str) -> None:
        """Handle that a token will not be started: its job goes back to its queue."""


class ExecutorEngine(Protocol):
    """A way to nodes."""

    def start(self, token: str, resources: Resources) -> None:
        """Let a node receive `START`, as soon as there is a place with these resources."""

    def send(self, node: str, message: Message) -> None:
        """Send a message to a node, behind all earlier ones. To a node that is lost nothing is sent."""

    def nodes(self) -> list[str]:
        """Return the nodes that are there."""

    def cancel(self, token: str) -> None:
        """Take back a token that was not granted."""

    def done(self, token: str) -> None:
        """Take note that a granted token has ended: its place is free."""

    def lose(self, node: str, why: str) -> None:
        """Give up a node that does not answer, and call `lost`."""

    def tick(self, now: float) -> None:
        """Do what is due by the clock; `now` is monotonic. Called about once a second."""

    def close(self) -> None:
        """End all nodes."""
