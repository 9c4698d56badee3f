"""A real cluster for tests: two primaries and a replica of the first, on loopback ports, which end with the test process."""

import contextlib
from collections.abc import Iterator
from typing import Any

from redis.crc import key_slot

from tests.support.ports import free_ports
from tests.support.server import PrivateServer
from tests.support.wait import until

SLOTS = 16384


class Cluster:
    """The nodes of a cluster. `primary(namespace)` has the slot of a namespace, `replica` copies the first node."""

    def __init__(self, nodes: list[PrivateServer], ports: list[int]) -> None:
        self.nodes = nodes
        self.ports = ports
        self.clients = [node.client() for node in nodes]

    @property
    def url(self) -> str:
        """An address with two nodes: a replica, and a primary with half of the slots."""
        return f"redis+cluster://127.0.0.1:{self.ports[2]},127.0.0.1:{self.ports[1]}"

    def ask(self, node: int, *command: object) -> Any:
        """Send a cluster command to a node."""
        return self.clients[node].execute_command("CLUSTER", *command)  # type: ignore[no-untyped-call]

    def owner(self, namespace: str) -> int:
        """Return the number of the node that has a namespace, according to the second node."""
        slot = slot_of(namespace)
        ports = [member[1] for first, last, member, *_ in self.ask(1, "SLOTS") if first <= slot <= last]
        return self.ports.index(ports[0])

    def move(self, namespace: str, target: int) -> None:
        """Move the slot of a namespace to another node while it is in use, in one atomic step of the servers."""
        slot = slot_of(namespace)
        self.ask(self.owner(namespace), "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", self.ask(target, "MYID").decode())
        until(lambda: self.owner(namespace) == target, 20, "the slot to move")

    def fail_over(self, new: int) -> None:
        """Let the replica with this number and its primary change places, in the servers' own time: nothing is lost."""
        until(
            lambda: self.clients[new].info("replication").get("master_link_status") == "up", 20, "the replica to be connected"
        )
        self.ask(new, "FAILOVER")
        until(lambda: self.clients[new].info("replication")["role"] == "master", 20, "the replica to be promoted")


def slot_of(namespace: str) -> int:
    """Return the slot of all keys of a namespace."""
    return key_slot(f"{{{namespace}}}".encode())


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster and wait until all nodes agree on its state."""
    with contextlib.ExitStack() as stack:
        ports, buses = free_ports(3), free_ports(3)
        nodes = []
        for port, bus in zip(ports, buses, strict=True):
            node = PrivateServer()
            stack.callback(node.stop)
            # A short delay before a full synchronization, so that the replica is ready soon.
            nodes.append(
                node.start(
                    *("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus)),
                    *("--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0", "--bind", "127.0.0.1"),
                )
            )
        cluster = Cluster(nodes, ports)
        for client in cluster.clients:
            stack.callback(client.close)
        _join(cluster, buses)
        yield cluster


def _join(cluster: Cluster, buses: list[int]) -> None:
    cluster.ask(0, "ADDSLOTSRANGE", 0, SLOTS // 2 - 1)
    cluster.ask(1, "ADDSLOTSRANGE", SLOTS // 2, SLOTS - 1)
    for number in range(3):
        cluster.ask(number, "SET-CONFIG-EPOCH", number + 1)
    for number in (1, 2):
        cluster.ask(0, "MEET", "127.0.0.1", cluster.ports[number], buses[number])
    first = cluster.ask(0, "MYID").decode()

    def knows(number: int) -> bool:
        return b"cluster_state:ok" in cluster.ask(number, "INFO") and b"cluster_known_nodes:3" in cluster.ask(number, "INFO")

    until(lambda: all(knows(number) for number in range(3)), 20, "the nodes to know each other")
    cluster.ask(2, "REPLICATE", first)
    until(lambda: cluster.clients[2].info("replication").get("master_link_status") == "up", 20, "the replica to be there")
    until(lambda: all(_members(cluster, number) == 2 for number in range(3)), 20, "all nodes to know the replica")


def _members(cluster: Cluster, number: int) -> int:
    return next(len(members) for first, _, *members in cluster.ask(number, "SLOTS") if first == 0)
