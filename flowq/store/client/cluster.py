"""A namespace on a Cluster: all its keys share one hash tag, so they are in one slot, and one node has it.

So flowq needs no client that spreads keys over nodes. It needs connections that find the node of one slot, and find it again when
the slot has moved or a replica has taken over. That is what a Sentinel does for a plain primary, and it is built in the same way: a
connection class that asks where to connect to, each time it connects.
"""

import threading
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError
from redis.retry import Retry

from flowq.store.client.locking import taker
from flowq.store.schema.keys import Keys

Address: TypeAlias = tuple[str, int]

_TAKEN: Final = ("username", "password", "credential_provider", "client_name", "socket_", "ssl_")
"""The prefixes of connection settings that the user decides; flowq decides how replies are read and requests repeated."""


class SlotFinder:
    """The address of the node that serves the slot of a namespace. Shared by the connections of one pool.

    Args:
        nodes: addresses of some nodes; the others are learnt from them.
        namespace: whose slot.
        settings: how to connect to a node, as of `redis.Connection`, without host and port.
        connection_class: a plain or a TLS connection.
    """

    def __init__(
        self, nodes: Iterable[Address], namespace: str, settings: dict[str, Any], connection_class: type[redis.Connection]
    ) -> None:
        self.slot = key_slot(Keys(namespace)("meta").encode())
        self._seeds = list(nodes)
        self._learnt: list[Address] = []
        self._owner: Address | None = None
        self._settings = settings
        self._class = connection_class
        self._lock = threading.Lock()  # users' processes have threads

    def owner(self) -> Address:
        """Return the address of the node that serves the slot.

        Raises:
            ClusterDownError: no node serves it.
            ConnectionError: no node answers.
        """
        [_] = taker(self._lock)
        try:
            if self._owner is None:
                self._owner = self._discover()
            return self._owner
        finally:
            self._lock.release()

    def is_elsewhere(self, address: Address) -> bool:
        """Return whether the owner is known, and has another address."""
        return self._owner not in (None, address)

    def forget(self) -> None:
        """Forget the owner, which does not answer or has changed; the next call asks the cluster again."""
        [_] = taker(self._lock)  # what is being looked for just now may be it
        try:
            self._owner = None
        finally:
            self._lock.release()

    def _discover(self) -> Address:
        # What was learnt comes first: the seeds may be a name that leads to some node, or nodes that are gone by now.
        failure: RedisError | OSError | None = None
        for address in dict.fromkeys([*self._learnt, *self._seeds]):
            try:
                ranges = self._ask(address)
            except (RedisError, OSError) as error:
                failure = error
                continue
            owner = self._read(ranges, address)
            if owner is not None:
                return owner
            failure = ClusterDownError(f"no node serves slot {self.slot}")
        raise failure or ClusterDownError("no node is known")

    def _ask(self, address: Address) -> list[Any]:
        connection: Any = self._class(host=address[0], port=address[1], **self._settings)
        try:
            connection.connect()
            connection.send_command("CLUSTER", "SLOTS")
            ranges: list[Any] = connection.read_response()
            return ranges
        finally:
            connection.disconnect()

    def _read(self, ranges: list[Any], asked: Address) -> Address | None:
        """Learn the nodes from the answer of `CLUSTER SLOTS`; return the one with our slot."""
        owner = None
        nodes: list[Address] = []
        for first, last, *members in ranges:
            addresses = [(member[0].decode() if member[0] else asked[0], int(member[1])) for member in members]
            nodes += addresses  # a node that does not know its own address means the one that it was asked at
            if first <= self.slot <= last:
                owner = addresses[0]
        self._learnt = nodes
        return owner


class SlotConnection(redis.Connection):
    """A connection to the node that serves the slot."""

    def __init__(self, finder: SlotFinder, **settings: Any) -> None:
        self._finder = finder
        super().__init__(**settings)  # type: ignore[no-untyped-call]

    def connect(self) -> None:
        """Connect to the owner; a connection of the pool to an earlier one is given up.

        Nothing redirects a command without a key: the functions would be loaded on a node that does not serve the slot any more.
        """
        if self._finder.is_elsewhere((self.host, self.port)):
            self.disconnect()  # type: ignore[no-untyped-call]
        super().connect()  # type: ignore[no-untyped-call]

    def _connect(self) -> Any:
        try:
            return self._connect_to(self._finder.owner())
        except (OSError, RedisError):
            self._finder.forget()  # the known owner may be outdated
            return self._connect_to(self._finder.owner())

    def _connect_to(self, address: Address) -> Any:
        self.host, self.port = address
        return super()._connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        """Read a reply; treat a redirection to another node as a lost connection: the next one goes there."""
        try:
            return super().read_response(*args, **kwargs)
        except (MovedError, AskError) as error:
            self.moved()
            raise redis.exceptions.ConnectionError(f"the namespace is on another node now ({error})") from error

    def moved(self) -> None:
        """Close the connection and look for the owner, because the node does not serve the slot."""
        self._finder.forget()
        self.disconnect()  # type: ignore[no-untyped-call]


class SlotSSLConnection(SlotConnection, redis.SSLConnection):
    """The same with TLS."""


def slot_client(nodes: Iterable[Address], namespace: str, settings: dict[str, Any], *, tls: bool = False) -> redis.Redis:
    """Return a client of the node that serves a namespace, not connected yet.

    Args:
        nodes: addresses of some nodes of the cluster.
        namespace: the hash tag of all keys.
        settings: of each connection, without host and port.
        tls: whether the nodes are spoken to with TLS.
    """
    finder = SlotFinder(nodes, namespace, settings, redis.SSLConnection if tls else redis.Connection)
    pool = redis.ConnectionPool(
        connection_class=SlotSSLConnection if tls else SlotConnection, finder=finder, host="", port=0, **settings
    )
    return redis.Redis.from_pool(pool)


def slot_client_like(client: Any, namespace: str = "flowq") -> redis.Redis:
    """Return a client of the node that serves a namespace, which reaches the cluster as a `redis.RedisCluster` of the user's does."""
    nodes = client.get_nodes()
    pool = client.get_redis_connection(nodes[0]).connection_pool
    settings = {name: value for name, value in pool.connection_kwargs.items() if name.startswith(_TAKEN)}
    settings |= {"protocol": 2, "decode_responses": False, "retry": Retry(NoBackoff(), 0)}
    tls = issubclass(pool.connection_class, redis.SSLConnection)
    return slot_client([(node.host, int(node.port)) for node in nodes], namespace, settings, tls=tls)
