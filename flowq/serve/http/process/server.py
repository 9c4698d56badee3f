"""The process: a socket, threads beside the loop, and signals."""

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from flowq import __version__
from flowq.exceptions import ServerError, UsageError
from flowq.serve.http.access.secrets import link
from flowq.serve.http.app import Application
from flowq.serve.http.gate import HEAD
from flowq.serve.http.handlers.metrics import metrics_text
from flowq.serve.http.live.hub import Hub
from flowq.serve.http.process.open_metrics import OpenMetrics, read_place
from flowq.serve.http.process.protocol import AT_ONCE, Protocol
from flowq.serve.http.routes import ROUTES
from flowq.serve.http.site import Site, SiteOptions, catalog_of, checked_options
from flowq.store import Store

PORT: Final = 8470
_NEXT: Final = 20  # ports that are tried where none is asked for
_WAITING: Final = 1024  # connections that wait to be accepted
_CONNECTIONS: Final = 1000
_IDLE: Final = 15  # s that a connection may stay without a request
_GRACE: Final = 3  # s for answers that are under way at the end
_BEAT: Final = 15.0  # s
_LOOK: Final = 1.0  # s between looks at whether anything is asked
_MISSING: Final = 5  # looks without an answer of the store after which it has gone

log = logging.getLogger("flowq.serve.http")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a command wants to serve.

    Attributes:
        options: how it is reached; its port is taken if `port` is None or free.
        port: the port; None: 8470, or the next one that is free.
        directory: of the flows; None: none are served.
        name: of the catalog.
        lifeline: an inherited descriptor: its end stops the server.
        report: an inherited descriptor for a JSON line with the address.
        idle: seconds without a request after which the server ends; None: it does not. Such a server also ends with the store.
        path: of the page that the address is of.
        metrics: `[HOST:]PORT` where the metrics are open; "": nowhere.
    """

    options: SiteOptions
    port: int | None = None
    directory: str | None = None
    name: str | None = None
    lifeline: int | None = None
    report: int | None = None
    idle: float | None = None
    path: str = ""
    metrics: str = ""


def serve(store: Store, wanted: Wanted, user: str) -> Iterator[str]:
    """Serve the page until a stop signal. Yields its address first, with a link's token where credentials are needed. Main thread only.

    Raises:
        UsageError: the options do not go together, or the port is taken.
    """
    options = checked_options(wanted.options)
    listeners = [_listen(options.host, wanted.port)]
    if wanted.metrics:
        listeners.append(_listen(*read_place(wanted.metrics), option="--metrics-open"))
    options = replace(options, port=listeners[0].getsockname()[1])
    catalog = None if wanted.directory is None else catalog_of(wanted.directory, wanted.name)
    site = Site(store, options, catalog)
    address = f"{options.url}/{wanted.path}"
    if options.everyone is None:
        address += f"#token={link(store, user)}"
    yield address
    try:
        asyncio.run(_Process(site, wanted).run(*listeners))
    finally:
        for listener in listeners:
            listener.close()
        with suppress(ServerError):
            store.accesses.beat(site.name, "")


def report(descriptor: int, address: str) -> None:
    """Tell a parent the address; a parent that has gone is no error."""
    with suppress(BrokenPipeError), open(descriptor, "wb", closefd=False) as out:
        out.write(json.dumps({"page": address}).encode() + b"\n")


def _listen(host: str, port: int | None, option: str = "--port") -> socket.socket:
    """Return a listening socket. Without a port the first free one from 8470 on."""
    bare = host.strip("[]")
    ports = [port] if port is not None else [*range(PORT, PORT + _NEXT), 0]
    for number in ports:
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(bare, number, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise UsageError(f"{'--host' if option == '--port' else option} {host}: {error.strerror}") from error
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(_WAITING)
        except OSError as error:
            listener.close()
            if number == ports[-1]:
                raise UsageError(f"{host}:{number} cannot be used: {error.strerror}; {option} takes another one") from error
            continue
        listener.setblocking(False)
        return listener
    raise AssertionError("unreachable")


class _Server(uvicorn.Server):
    """uvicorn without its own signals."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections; more may wait than are accepted at once, which for asyncio is one number."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_WAITING)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield


def _server(application: ASGIApp) -> _Server:
    return _Server(
        uvicorn.Config(
            application,
            http=Protocol,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=HEAD,
            backlog=AT_ONCE,
            limit_concurrency=_CONNECTIONS,
            timeout_keep_alive=_IDLE,
            timeout_graceful_shutdown=_GRACE,
        )
    )


class _Process:
    """The loop of the process, and the threads beside it."""

    def __init__(self, site: Site, wanted: Wanted) -> None:
        self._site = site
        self._lifeline = wanted.lifeline
        self._idle = wanted.idle
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hub = Hub(site)
        self._application = Application(site, self._hub, ROUTES)
        self._stops = 0
        self._server = _server(self._application)
        self._metrics = _server(OpenMetrics(lambda: metrics_text(site, self._hub)))

    async def run(self, listener: socket.socket, metrics: socket.socket | None = None) -> None:
        """Serve until it is stopped; `metrics`: where they are open."""
        loop = self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._site.reload)
        if self._lifeline is not None:
            loop.add_reader(self._lifeline, self._end)
        work = [self._site.watch, self._hub.run, self._beat, *([] if self._idle is None else [self._wait_for_idleness])]
        for thread in [threading.Thread(target=item, daemon=True) for item in work]:
            thread.start()
        try:
            async with asyncio.TaskGroup() as group:
                if metrics is not None:
                    group.create_task(self._metrics.serve(sockets=[metrics]))
                await self._server.serve(sockets=[listener])
                self._metrics.should_exit = True
        finally:
            self._site.close()
            self._application.close()

    def _stop(self) -> None:
        """Stop; below a parent the first signal only ends writes, because running jobs finish and users look on."""
        self._stops += 1
        self._site.close()
        if self._lifeline is None or self._stops > 1:
            self._end()

    def _end(self) -> None:
        self._site.close()
        self._server.should_exit = True
        if self._lifeline is not None:
            asyncio.get_running_loop().remove_reader(self._lifeline)

    def _wait_for_idleness(self) -> None:
        """End the server when no request has come for long, or the store has gone, in a thread of its own."""
        assert self._idle is not None
        missing = 0
        while time.monotonic() - self._site.used < self._idle and missing < _MISSING:
            if self._site.closing.wait(_LOOK):
                return
            if self._hub.is_watched():
                self._site.used = time.monotonic()
            try:
                self._site.store.now_ms()
                missing = 0
            except ServerError:
                missing += 1
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _beat(self) -> None:
        """Note again and again that this process lives, in a thread of its own."""
        options, catalog = self._site.options, self._site.catalog
        text = json.dumps(
            {
                "hostname": socket.gethostname(),
                "pid": os.getpid(),
                "url": options.url,
                "catalog": None if catalog is None else catalog.name,
                "version": __version__,
                "readonly": options.readonly,
                "auth": options.everyone is None,
            }
        )
        while not self._site.closing.is_set():
            with suppress(ServerError):
                self._site.store.accesses.beat(self._site.name, text)
            self._site.closing.wait(_BEAT)
