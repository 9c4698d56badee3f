"""The engine whose nodes are behind the stdin and stdout of a command: sh, ssh, srun, podman run -i, kubectl run -i, bwrap.

With `per = "host"` one command, and so one node, serves many jobs; a job goes to the host with the fewest. With `per = "job"` the command is
started for each job and may pass on what the job asks for.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from flowq.worker.executors import wire
from flowq.worker.executors.command import Command, command_of

if TYPE_CHECKING:
    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.executors.engine import EngineOwner, Resources
    from flowq.worker.executors.wire import Message
    from flowq.worker.supervisor.event_loop import Loop

_log = logging.getLogger("flowq.worker")
_GREETING_LIMIT: Final = 60.0  # s from the start of a host's command to the greeting of its node
_FIRST_PAUSE: Final = 1.0  # s before a host is tried again
_LONGEST_PAUSE: Final = 60.0
_END_LIMIT: Final = 1.0  # s for all commands together when the driver ends; then they are killed


class _Node:
    """A node: its command, and the tokens that were given to it."""

    def __init__(self, name: str, host: str, command: Command) -> None:
        self.name = name
        self.host = host
        self.command = command
        self.greeted = False
        self.tokens: list[str] = []
        self.since = time.monotonic()


class _Host:
    """A host that could not be used: when it is tried again, and why it failed."""

    def __init__(self) -> None:
        self.pause = _FIRST_PAUSE
        self.again = 0.0
        self.why = ""

    def failed(self, why: str) -> None:
        self.why = why
        self.again = time.monotonic() + self.pause
        self.pause = min(_LONGEST_PAUSE, self.pause * 2)


class PipeEngine:
    """Nodes behind commands."""

    def __init__(self, settings: ExecutorSettings, loop: Loop, owner: EngineOwner) -> None:
        self._settings = settings
        self._loop = loop
        self._owner = owner
        self._nodes: dict[str, _Node] = {}
        self._homes: dict[str, _Node] = {}  # by token
        self._hosts = {host: _Host() for host in settings.hosts or (settings.name,)}
        self._leaving: list[Command] = []
        self._started = 0

    # -- the interface of an engine ----------------------------------------------------------------------------------------

    def start(self, token: str, resources: Resources) -> None:
        """Let a node start a token: a new node of its own, or the one of the host with the fewest."""
        try:
            node = self._new(resources) if self._settings.per == "job" else self._least_busy()
        except OSError as error:
            self._owner.refused(token, f"executor {self._settings.name}: {error.strerror or error}: {error.filename or ''}")
            return
        if node is None:
            why = next(host.why for host in self._hosts.values() if host.why)
            self._owner.refused(token, why)
            return
        node.tokens.append(token)
        self._homes[token] = node
        if node.greeted:
            node.command.write((wire.START, token, {}))

    def send(self, node: str, message: Message) -> None:
        """Send a message to a node that is there."""
        known = self._nodes.get(node)
        if known is not None:
            known.command.write(message)

    def nodes(self) -> list[str]:
        """Return the nodes that have greeted."""
        return [node.name for node in self._nodes.values() if node.greeted]

    def cancel(self, token: str) -> None:
        """Take back a token; a node of its own is not needed then."""
        node = self._homes.get(token)
        if node is not None and node.greeted:
            node.command.write((wire.CANCEL, token))
        self.done(token, now=True)

    def done(self, token: str, *, now: bool = False) -> None:
        """Free the place of a token. `now`: a command that still waits in the queue of a cluster is told to end."""
        node = self._homes.pop(token, None)
        if node is None:
            return
        node.tokens.remove(token)
        if self._settings.per == "job" and node.name in self._nodes:
            del self._nodes[node.name]
            self._let_end(node, now=now)

    def lose(self, node: str, why: str) -> None:
        """Give up a node."""
        known = self._nodes.get(node)
        if known is not None:
            self._lost(known, why)

    def tick(self, now: float) -> None:
        """End commands that do not end, and give up those that do not answer."""
        for node in tuple(self._nodes.values()):
            if not node.greeted and self._settings.per == "host" and now - node.since > _GREETING_LIMIT:
                self._lost(node, f"its node has not answered within {_GREETING_LIMIT:g} s")
        self._leaving = [command for command in self._leaving if not command.ended(now)]

    def close(self) -> None:
        """Close the stdin of all nodes, which ends them; kill the commands that stay."""
        commands = [*self._leaving, *(node.command for node in self._nodes.values())]
        for command in commands:
            command.close(now=True)
        by = time.monotonic() + _END_LIMIT
        for command in commands:
            command.end(by)

    # -- nodes -------------------------------------------------------------------------------------------------------------

    def _least_busy(self) -> _Node | None:
        """Return the node of the host that has the fewest tokens; None if no host can be used now."""
        now = time.monotonic()
        usable = [name for name, host in self._hosts.items() if name in self._nodes or host.again <= now]
        if not usable:
            return None
        host = min(usable, key=lambda name: len(self._nodes[name].tokens) if name in self._nodes else 0)
        return self._nodes.get(host) or self._new({}, host)

    def _new(self, resources: Resources, host: str = "") -> _Node:
        """Start a command.

        Raises:
            OSError: it cannot be started.
        """
        settings = self._settings
        self._started += 1
        values = {"python": settings.python or sys.executable, "host": host}
        argv = command_of(settings.command, values, resources)
        name = host or f"{settings.name}-{self._started}"
        command = Command(self._loop, argv, self._environment(), name)
        node = _Node(name, host, command)
        command.on_message = lambda message: self._received(node, message)
        command.on_end = lambda why: self._lost(node, why)
        self._nodes[name] = node
        return node

    def _environment(self) -> dict[str, str]:
        """Return the variables of commands: an engine shows them to others, so the worker's own are not among them."""
        names = _PASSED | set(self._settings.environment)
        return {name: value for name, value in os.environ.items() if name in names or name.startswith(_PREFIXES)}

    def _received(self, node: _Node, message: Message) -> None:
        self._owner.received(node.name, message)
        if message[0] == wire.HELLO and not node.greeted and node.name in self._nodes:
            node.greeted = True
            if self._settings.per == "host":
                self._hosts[node.host].pause = _FIRST_PAUSE
            for token in node.tokens:
                node.command.write((wire.START, token, {}))

    def _lost(self, node: _Node, why: str) -> None:
        if self._nodes.get(node.name) is not node:
            return  # it was to end
        del self._nodes[node.name]
        self._let_end(node, now=True)
        place = f"executor {self._settings.name}" + (f", host {node.host}" if self._settings.hosts else "")
        if self._settings.per == "host" and not node.greeted:
            self._hosts[node.host].failed(f"{place}: {why}")
        for token in node.tokens:
            del self._homes[token]
        if node.greeted:
            self._owner.lost(node.name, why)
        for token in node.tokens:
            self._owner.refused(token, f"{place}: {why}")

    def _let_end(self, node: _Node, *, now: bool) -> None:
        node.command.close(now=now)
        self._leaving.append(node.command)


_PASSED: Final = {
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "PYTHONPATH", "LD_LIBRARY_PATH", "KUBECONFIG",
    "SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME",
}  # fmt: skip
_PREFIXES: Final = ("LC_", "XDG_", "SLURM_", "DBUS_")
