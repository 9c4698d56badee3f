"""The proxy between all processes of a round and the server, as a process of its own.

It carries out the network's part of the schedule: when a fault is due, it hits the next transition that a client sends (a call of a
function or a script; `cut` hits all connections), and a line in the journal says so.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from tests.chaos.schedule import NETWORK, Fault, schedule

SOCKET: Final = "proxy"
READY: Final = "proxy-ready"
JOURNAL: Final = "network"
_CHUNK: Final = 1 << 18
_STALE: Final = 1.0  # s after which a fault that found nothing to hit is dropped


class Link:
    """A connection of a client, and the one to the server that belongs to it. `doom` is the fault that its next reply meets."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.doom = ""

    def cut(self) -> None:
        """Close both connections; what is not sent yet is lost."""
        for side in (self.client, self.server):
            side.transport.abort()


class Network:
    """The proxy of a round.

    Args:
        place: the directory of the round.
        doors: where it listens (a path, or a port on loopback) -> the socket of the server behind it.
        faults: of the network, in order of time.
        start: when the round began, on the clock.
    """

    def __init__(self, place: Path, doors: dict[str, str], faults: Iterator[Fault], start: float) -> None:
        self._place, self._doors, self._faults, self._start = place, doors, list(faults), start
        self._links: set[Link] = set()

    async def serve(self) -> None:
        """Forward until the process is killed."""
        cuts = [fault for fault in self._faults if fault.kind == "cut"]
        self._faults = [fault for fault in self._faults if fault.kind != "cut"]
        async with AsyncExitStack() as stack:
            for door, upstream in self._doors.items():
                accept = partial(self._accept, upstream)
                listening = (
                    asyncio.start_server(accept, "127.0.0.1", int(door))
                    if door.isdecimal()
                    else asyncio.start_unix_server(accept, door)
                )
                await stack.enter_async_context(await listening)
            (self._place / READY).touch()
            for fault in cuts:
                await asyncio.sleep(max(0.0, self._start + fault.at - time.time()))
                self._note(fault)
                for link in list(self._links):
                    link.cut()
            await asyncio.Event().wait()

    async def _accept(self, upstream: str, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            replies, server = await asyncio.open_unix_connection(upstream)
        except OSError:
            client.transport.abort()
            return
        link = Link(client, server)
        self._links.add(link)
        with suppress(OSError):
            await asyncio.gather(self._requests(reader, link), self._replies(replies, link))
        self._links.discard(link)
        link.cut()

    async def _requests(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(_CHUNK):
            fault = self._due() if b"FCALL" in data or b"EVAL" in data else None
            kind = fault.kind if fault else ""
            if kind == "drop request":
                break
            if fault and kind == "delay":
                await asyncio.sleep(fault.length)
            if kind in {"drop reply", "cut reply", "half close"}:
                link.doom = kind
            link.server.write(data)
            await link.server.drain()
        link.cut()

    async def _replies(self, replies: asyncio.StreamReader, link: Link) -> None:
        client_reads = True
        while data := await replies.read(_CHUNK):
            if link.doom == "drop reply":
                break
            if link.doom == "half close":  # the client may go on to send, and what it sends is executed
                if client_reads:
                    link.client.write_eof()
                client_reads = False
                continue
            if link.doom:
                link.client.write(data[: len(data) // 2])
                await link.client.drain()
                link.client.close()
                break
            link.client.write(data)
            await link.client.drain()
        link.cut()

    def _due(self) -> Fault | None:
        """Return the fault that the present request meets."""
        since = time.time() - self._start
        while self._faults and self._faults[0].at < since - _STALE:
            self._faults.pop(0)
        if not self._faults or self._faults[0].at > since:
            return None
        fault = self._faults.pop(0)
        self._note(fault)
        return fault

    def _note(self, fault: Fault) -> None:
        with (self._place / JOURNAL).open("a") as journal:
            journal.write(json.dumps({"kind": fault.kind, "at": time.time()}) + "\n")


def main(place: Path, doors: dict[str, str], seed: int, seconds: float, lease: float, start: float) -> None:
    """Run the proxy of a round."""
    faults = (fault for fault in schedule(seed, seconds, lease) if fault.kind in NETWORK)
    asyncio.run(Network(place, doors, faults, start).serve())


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]), *map(float, sys.argv[4:]))
