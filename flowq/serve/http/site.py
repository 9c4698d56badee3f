"""What is served: the store, the flows of a directory, and how the page is reached."""

import os
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from flowq.exceptions import UsageError
from flowq.ids import run_id
from flowq.serve.http.access.doorkeeper import Doorkeeper
from flowq.store import Store
from flowq.store.schema.records import RunRecord
from flowq.telemetry.metrics.process import ProcessCounts

if TYPE_CHECKING:
    from flowq.schedules.directory.catalog import Catalog, CatalogFlow

LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")
_LOOK: Final = 2.0  # s between looks at the directory


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """How the page is reached.

    Attributes:
        host: what the socket is bound to, an address or a name.
        port: likewise; known once the socket is there.
        public_url: the address under which browsers reach it, behind a proxy; "" is `http://host:port`.
        trusted: address of the proxy whose `X-Forwarded-For` counts.
        readonly: nothing can be changed.
        everyone: name of the user that all requests are from, without credentials; None: credentials are needed.
        queue_prefix: in front of the queues of runs that are started here.
        ships: the files of the directory travel with them.
    """

    host: str = "127.0.0.1"
    port: int = 8470
    public_url: str = ""
    trusted: str = ""
    readonly: bool = False
    everyone: str | None = None
    queue_prefix: str = ""
    ships: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches the socket."""
        return is_loopback(self.host)

    @property
    def prefix(self) -> str:
        """The path below which the page is reached, without a slash at its end."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def secure(self) -> bool:
        """Whether browsers reach it by TLS."""
        return self.public_url.startswith("https:")

    @property
    def url(self) -> str:
        """The address of the page, without a slash at its end."""
        return self.public_url.rstrip("/") or f"http://{_authority(self.host, self.port)}"

    @property
    def cookie(self) -> str:
        """The name of the cookie. Browsers send cookies to all ports of a host, so it has the port in it."""
        return f"{'__Host-' if self.secure else ''}flowq-{self.port}"

    def origins(self) -> frozenset[str]:
        """Return the origins that are this page's own."""
        names = {_authority(self.host, self.port)}
        if self.loopback:
            names |= {_authority(name, self.port) for name in LOOPBACK}
        own = {f"http://{name}" for name in names}
        if self.public_url:
            parts = urlsplit(self.public_url)
            own.add(f"{parts.scheme}://{parts.netloc}".lower())
        return frozenset(own)

    def hosts(self) -> frozenset[str]:
        """Return the values of `Host` that are this page's own."""
        return frozenset(origin.partition("://")[2] for origin in self.origins())


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a socket that is bound to this host."""
    return host in {"localhost", "::1", "[::1]"} or host.startswith("127.")


def _authority(host: str, port: int) -> str:
    bare = host.strip("[]").lower()
    shown = f"[{bare}]" if ":" in bare else bare
    return shown if port == 80 else f"{shown}:{port}"


class Site:
    """Everything that handlers need.

    Args:
        store: the store.
        options: how it is reached.
        catalog: the flows of the directory; None: no directory is served, so there is nothing to launch.
    """

    def __init__(self, store: Store, options: SiteOptions, catalog: "Catalog | None" = None) -> None:
        self.store = store
        self.options = options
        self.catalog = catalog
        self.doorkeeper = Doorkeeper(store, options.cookie, options.everyone)
        self.meter = ProcessCounts()
        self.name = f"{socket.gethostname()}-{os.getpid()}-{run_id()}"
        self.closing = threading.Event()  # writes are refused, readers are told to come back
        self.used = time.monotonic()  # when a request came last
        self._paths: dict[str, str] = {}
        self._seen: Mapping[str, CatalogFlow] | None = None
        self._look = threading.Event()
        self._lock = threading.Lock()

    # -- flows ----------------------------------------------------------------------------------------------------------------

    @property
    def flows(self) -> "Mapping[str, CatalogFlow]":
        """The flows of the directory by name."""
        return {} if self.catalog is None else self.catalog.flows

    def flow_id(self, name: str) -> str:
        """Return the name of a flow of the directory with that of the catalog."""
        assert self.catalog is not None, "a flow has a catalog"
        return f"{self.catalog.name}/{name}"

    def flow_of(self, run: RunRecord) -> str:
        """Return the flow that a run is of, `<catalog>/<flow>`; "" if it is in no catalog that is known here."""
        if run.schedule:
            return run.schedule.rpartition(":")[0]
        if not run.file or self.catalog is None:
            return ""
        name = self._by_path().get(os.path.realpath(run.file))
        return "" if name is None else self.flow_id(name)

    def _by_path(self) -> dict[str, str]:
        flows = self.flows
        with self._lock:
            if flows is not self._seen:
                self._paths = {os.path.realpath(flow.path): name for name, flow in flows.items()}
                self._seen = flows
            return self._paths

    # -- looks at the directory -----------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Look at the directory at once."""
        self._look.set()

    def watch(self) -> None:
        """Look at the directory again and again until the site closes, in a thread of its own."""
        while self.catalog is not None and not self.closing.is_set():
            self.catalog.look()
            self._look.wait(_LOOK)
            self._look.clear()

    def close(self) -> None:
        """Let nothing begin any more."""
        self.closing.set()
        self._look.set()


def checked_options(options: SiteOptions) -> SiteOptions:
    """Return options that go together.

    Raises:
        UsageError: the page could be used by others than those it is for.
    """
    if options.public_url:
        parts = urlsplit(options.public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise UsageError(f"--public-url takes an address such as https://flows.example/, found {options.public_url!r}")
    if options.everyone is not None and not options.loopback:
        raise UsageError(f"--no-auth lets everyone in who reaches {options.host}: it is for 127.0.0.1 only")
    if options.everyone is not None and options.public_url:
        raise UsageError("--no-auth and --public-url exclude each other: everyone who reaches that address could run jobs")
    if options.host in {"0.0.0.0", "::", "[::]", ""} and not options.public_url:  # noqa: S104 - it is refused
        raise UsageError(
            f"--host {options.host or '``'} needs --public-url: the page answers only under names that it knows, such as"
            f" http://{socket.gethostname()}:8470"
        )
    return options


def catalog_of(directory: str, name: str | None) -> "Catalog":
    """Return the catalog of a directory, looked at once."""
    from flowq.schedules.directory.catalog import Catalog

    found = Catalog(str(Path(directory).absolute()), name)
    found.look()
    return found
