"""The kinds of servers on which the suite can run: `pytest --server KIND`, `python -m tests.chaos --server KIND`.

embedded    the server that flowq brings
redis7      the oldest Redis that flowq supports: the `redis-server` of version 7 on PATH, also as the embedded server
cluster     three primaries, each with a third of the slots
sentinel    a primary and a replica that a Sentinel watches; each module of tests begins with a fail-over
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from flowq.embedded.binary import VARIABLE, find_server
from flowq.store.client.cluster import slot_client
from tests.support.cluster import SLOTS
from tests.support.ports import free_ports
from tests.support.server import PrivateServer, die_with_parent
from tests.support.wait import until

KINDS: Final = ("embedded", "redis7", "cluster", "sentinel")
NAMESPACE: Final = "flowq-test"  # that of the suite; those of other tests are on the same node: "flowq", "flowq-other", "chaos"
SERVICE: Final = "main"
_LOOPBACK: Final = "127.0.0.1"
_OLD: Final = (7, 0)
_FAR: Final = 600_000  # ms after which a Sentinel acts by itself: never within a test


def choose(kind: str) -> str:
    """Make this process, and those that it starts, use the binary of a kind; return the reason if it cannot be used here."""
    if kind == "redis7":
        path = shutil.which("redis-server")
        if path is None:
            return "there is no redis-server on PATH (Debian: apt-get install redis-server)"
        os.environ[VARIABLE] = path
        if (version := find_server().version)[:2] != _OLD:
            return f"the redis-server on PATH is {'.'.join(map(str, version))}, not 7.0"
    return ""


def server_of(kind: str, namespace: str = NAMESPACE, doors: Sequence[int] = ()) -> PrivateServer:
    """Return a server of this kind, not started yet.

    Args:
        kind: one of `KINDS`.
        namespace: which the client of a cluster looks for.
        doors: ports that the nodes announce in place of their own, those of a proxy before each.
    """
    if kind == "cluster":
        return ClusterServer(namespace, doors)
    return SentinelServer(doors) if kind == "sentinel" else PrivateServer()


class Group(PrivateServer):
    """Some servers, of which one serves the tests: what is asked of the group is asked of that one.

    Args:
        count: of the servers.
        doors: as in `server_of`.
    """

    def __init__(self, count: int, doors: Sequence[int] = ()) -> None:
        super().__init__()
        self.nodes = [PrivateServer(self.binary) for _ in range(count)]
        self.ports = free_ports(count)
        self.doors = list(doors) or self.ports
        self.serving = 0

    @property
    def node(self) -> PrivateServer:
        """The one that serves the tests."""
        return self.nodes[self.serving]

    @property
    def socket(self) -> str:
        return self.node.socket

    @property
    def pid(self) -> int:
        return self.node.pid

    def kill9(self) -> None:
        self.node.kill9()

    def restart(self, *, wait: bool = True) -> None:
        self.node.restart(wait=wait)

    def stop(self, keep: bool = False) -> None:
        for node in self.nodes:
            node.stop(keep)
        super().stop(keep)

    def settings(self, **options: Any) -> dict[str, Any]:
        """Return the settings of a client's connections: bytes in and out, no silent retries."""
        return {"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), "protocol": 2, **options}


class ClusterServer(Group):
    """A cluster of three primaries; the first one has the namespace, the address names the two others."""

    def __init__(self, namespace: str = NAMESPACE, doors: Sequence[int] = ()) -> None:
        super().__init__(3, doors)
        self.namespace = namespace

    @property
    def url(self) -> str:
        return f"redis+cluster://{_LOOPBACK}:{self.doors[1]},{_LOOPBACK}:{self.doors[2]}"

    def start(self, *options: str, appendonly: bool = False) -> "ClusterServer":
        """Start the nodes, and wait until each knows all."""
        buses = free_ports(3)
        for number, node in enumerate(self.nodes):
            announced = ("--cluster-announce-port", str(self.doors[number])) if self.doors != self.ports else ()
            node.start(
                *("--port", str(self.ports[number]), "--bind", _LOOPBACK, "--cluster-enabled", "yes"),
                *("--cluster-port", str(buses[number]), "--cluster-node-timeout", "15000", *announced, *options),
                appendonly=appendonly,
            )
            with node.client() as client:
                first, last = SLOTS * number // 3, SLOTS * (number + 1) // 3 - 1
                _cluster(client, "ADDSLOTSRANGE", first, last)
                _cluster(client, "SET-CONFIG-EPOCH", number + 1)
        with self.nodes[0].client() as client:
            for port, bus in zip(self.ports[1:], buses[1:], strict=True):
                _cluster(client, "MEET", _LOOPBACK, port, bus)
        until(lambda: all(_is_complete(node) for node in self.nodes), 30, "the nodes to know each other")
        return self

    def restart(self, *, wait: bool = True) -> None:
        """Start the node again; it serves its slots some seconds later."""
        super().restart(wait=wait)
        if wait:
            until(lambda: _is_complete(self.node), 30, "the node to serve its slots again")

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of the node that has the namespace, which it looks for."""
        nodes = [(_LOOPBACK, door) for door in reversed(self.doors)]  # a user of a test is known to the last one alone
        return slot_client(nodes, self.namespace, self.settings(**options))


class SentinelServer(Group):
    """A primary and its replica, watched by a Sentinel that acts only when it is told to."""

    def __init__(self, doors: Sequence[int] = ()) -> None:
        super().__init__(2, doors)
        (self._watch,) = free_ports(1)
        self._more: tuple[str, ...] = ()
        self._sentinel: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://{_LOOPBACK}:{self._watch}/{SERVICE}"

    def start(self, *options: str, appendonly: bool = False) -> "SentinelServer":
        """Start both servers and the Sentinel, and wait until it knows the replica."""
        self._more = options
        for number, node in enumerate(self.nodes):
            node.start(*self._options_of(number), appendonly=appendonly)
        config = self.directory / "sentinel.conf"
        config.write_text(
            f"port {self._watch}\nbind {_LOOPBACK}\nsentinel monitor {SERVICE} {_LOOPBACK} {self.doors[0]} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {_FAR}\nsentinel failover-timeout {SERVICE} 20000\n"
        )
        self._sentinel = subprocess.Popen(
            [self.binary, str(config), "--sentinel", "--logfile", str(self.directory / "sentinel.log")],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            preexec_fn=die_with_parent,  # noqa: PLW1509, as for a server
        )
        until(self._knows_all, 30, "the Sentinel to know the replica")
        return self

    def _options_of(self, number: int) -> tuple[str, ...]:
        """Return the options of a server in its present role: a Sentinel would write it into the server's file, which these do not have."""
        role = () if number == self.serving else ("--replicaof", f"{_LOOPBACK} {self.doors[self.serving]}")
        announced = ("--replica-announce-port", str(self.doors[number]), "--replica-announce-ip", _LOOPBACK)
        own = ("--port", str(self.ports[number]), "--bind", _LOOPBACK, "--repl-diskless-sync-delay", "0")
        return (*own, *announced, *role, *self._more)

    def client(self, **options: Any) -> redis.Redis:
        """Return a client of the primary, which it asks the Sentinel for."""
        sentinel: Any = Sentinel([(_LOOPBACK, self._watch)], sentinel_kwargs=self.settings())  # type: ignore[no-untyped-call]
        client: redis.Redis = sentinel.master_for(SERVICE, **self.settings(**options))
        return client

    def fail_over(self) -> None:
        """Make the replica the primary, and wait until the other one is its replica. Nothing that was accepted is lost.

        Until it is demoted, the former primary accepts changes that the latter will not have: here it refuses them first. A Sentinel
        demotes it 8 s later, by the same command.
        """
        self._see()
        latter = 1 - self.serving
        old, new = self.node, self.nodes[latter]
        until(lambda: _replication(new).get("master_link_status") == "up", 30, "the replica to be connected")
        with old.client() as client:
            client.config_set("min-replicas-to-write", 2)
        until(lambda: _offset(new) >= _offset(old), 30, "the replica to have everything")
        until(self._ordered, 30, "the Sentinel to begin")
        until(lambda: _replication(new).get("role") == "master", 30, "the replica to be promoted")
        self.serving = latter
        for number, node in enumerate(self.nodes):
            node.set_options(*self._options_of(number))
        with old.client() as client:
            client.replicaof(_LOOPBACK, self.doors[latter])
            client.config_set("min-replicas-to-write", 0)
            client.client_kill_filter(_type="normal", skipme=True)
        until(lambda: _replication(old).get("master_link_status") == "up", 30, "the former primary to follow")
        until(self._knows_all, 30, "the Sentinel to know the new primary and its replica")

    def stop(self, keep: bool = False) -> None:
        if self._sentinel is not None:
            self._sentinel.terminate()
            self._sentinel.wait(10)
            self._sentinel = None
        super().stop(keep)

    def _asked(self, *command: str) -> Any:
        with redis.Redis(port=self._watch, **self.settings()) as client:
            return client.execute_command("SENTINEL", *command, SERVICE)

    def _see(self) -> None:
        """Look which one is the primary: an earlier fail-over may have come to its end after the test that had waited for it."""
        self.serving = self.doors.index(int(_facts(self._asked("MASTER"))["port"]))
        for node in self.nodes:
            with node.client() as client:
                client.config_set("min-replicas-to-write", 0)

    def _knows_all(self) -> bool:
        try:
            primary, replicas = _facts(self._asked("MASTER")), [_facts(row) for row in self._asked("REPLICAS")]
        except redis.exceptions.ConnectionError:  # not started yet
            return False
        return (primary["port"], primary["flags"]) == (str(self.doors[self.serving]), "master") and any(
            (row["port"], row["flags"], row["master-link-status"]) == (str(self.doors[1 - self.serving]), "slave", "ok")
            for row in replicas
        )

    def _ordered(self) -> bool:
        try:
            self._asked("FAILOVER")
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith(("NOGOODSLAVE", "INPROG")):
                raise
            return False  # it has not heard of the replica for a moment, or an earlier fail-over is not through
        return True


def _facts(row: list[bytes]) -> dict[str, str]:
    texts = [item.decode() for item in row]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _cluster(client: redis.Redis, *command: object) -> None:
    client.execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]


def _is_complete(node: PrivateServer) -> bool:
    with node.client() as client:
        state: bytes = client.execute_command("CLUSTER", "INFO")
    return b"cluster_state:ok" in state and b"cluster_known_nodes:3" in state


def _replication(node: PrivateServer) -> dict[str, Any]:
    """Return what a server says about its replication; nothing if it cuts the connection, which a Sentinel makes it do."""
    try:
        with node.client() as client:
            return dict(client.info("replication"))
    except redis.exceptions.ConnectionError:
        return {}


def _offset(node: PrivateServer) -> int:
    facts = _replication(node)
    return int(facts.get("slave_repl_offset" if facts.get("role") == "slave" else "master_repl_offset", -1))
