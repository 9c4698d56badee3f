"""Copies of the old data on a private server, for tests that migrate it."""

import shutil
import tarfile
from dataclasses import dataclass
from typing import Any, Self

import redis

from flowq.store.client.scripts import load
from flowq.store.client.session import SCHEMA, Session
from tests.support.server import PrivateServer
from tests.upgrade.old_home import DATA


@dataclass(frozen=True, slots=True)
class OldData:
    """The dump of all keys of a server, each with its remaining milliseconds (0: no expiry)."""

    keys: list[tuple[bytes, bytes, int]]

    @classmethod
    def read(cls) -> Self:
        """Read the data directory."""
        server = PrivateServer()
        with tarfile.open(DATA / "home.tar.gz") as archive:
            archive.extractall(server.directory, filter="data")
        shutil.move(server.directory / "data" / "appendonlydir", server.directory)
        try:
            server.start(appendonly=True)
            with server.client() as client:
                names: list[bytes] = sorted(client.scan_iter())
                pipe = client.pipeline(transaction=False)
                for name in names:
                    pipe.dump(name)
                    pipe.pttl(name)
                rows = pipe.execute()
        finally:
            server.stop()
        return cls([(name, rows[2 * place], max(0, rows[2 * place + 1])) for place, name in enumerate(names)])

    def restore(self, client: redis.Redis) -> None:
        """Replace the data of a server by this data."""
        client.flushall()
        pipe = client.pipeline(transaction=False)
        for name, dump, left in self.keys:
            pipe.restore(name, left, dump)
        pipe.execute()


class Client:
    """A client that migrates a namespace step by step, so that it can die between two of them."""

    def __init__(self, client: redis.Redis, namespace: str, count: int) -> None:
        self._session = Session(client, namespace)
        self._count = count
        _, self._incarnation, _, self.migrates = self._session._send(load("namespace/open"), [SCHEMA, f"of {id(self)}"])

    def step(self) -> bool:
        """Migrate some keys; return whether more are left."""
        _, more = self._session._send(load("namespace/migrate"), [str(self._count)], self._incarnation.decode())
        return bool(more)


def contents(client: redis.Redis) -> dict[str, Any]:
    """Return all data of a server, without the incarnations of namespaces and the expiry of keys."""
    found: dict[str, Any] = {}
    for name in client.scan_iter():
        key = name.decode()
        match client.type(name):
            case b"hash":
                found[key] = client.hgetall(name)
            case b"zset":
                found[key] = client.zrange(name, 0, -1, withscores=True)
            case b"list":
                found[key] = client.lrange(name, 0, -1)
            case b"set":
                found[key] = client.smembers(name)
            case b"stream":
                found[key] = client.xlen(name)
            case _:
                found[key] = client.get(name)
        if key.endswith(":meta"):
            del found[key][b"incarnation"]
    return found
