"""Starting, stopping and inspecting the embedded server, for `flowq server`."""

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from flowq import processes
from flowq.config import load_settings
from flowq.embedded import resp
from flowq.embedded.attach import attach
from flowq.embedded.directory import Home, check_readable, locate
from flowq.embedded.locks import LockFile, is_held, take_unused
from flowq.embedded.patience import Patience
from flowq.embedded.watchdog import STOPPING
from flowq.exceptions import ServerError

_STOP_LIMIT: Final = 40.0  # s; longer than the watchdog takes from SIGTERM to a killed server
_CLIENT = re.compile(r"\bname=flowq-\S*?(\d+)\b")


class ServerInUseError(ServerError):
    """The embedded server cannot be stopped, because processes use it."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """The state of the embedded server at one moment. All but `home`, `running` and `in_use` is empty when it is not running."""

    home: str
    running: bool
    in_use: bool  # a process is attached
    socket: str = ""
    version: str = ""  # "valkey 9.1.2"
    pid: int | None = None
    watchdog: int | None = None
    users: tuple[int, ...] = ()  # ids of the processes that have a connection; an attached one may have none at the moment
    pinned: bool = False
    uptime: float = 0.0  # s
    memory: int = 0  # bytes
    disk: int = 0  # bytes of the append-only file


def start_server(home: str | None = None) -> ServerStatus:
    """Start the embedded server if it is not running, and pin it: it runs until `stop_server`, used or not.

    Args:
        home: the state directory; None: the configured one, see `flowq.config`.

    Raises:
        ConfigError, ServerNotFoundError, ServerError: as in `attach`.
    """
    with attach(_place(home).root) as attachment:
        os.close(os.open(attachment.home.pin, os.O_WRONLY | os.O_CREAT, 0o600))
    return _status(attachment.home)


def server_status(home: str | None = None) -> ServerStatus:
    """Return the state of the embedded server, without starting it. `home` as in `start_server`.

    Raises:
        ConfigError: it cannot be told, because the directory cannot be read.
    """
    return _status(_place(home))


def stop_server(home: str | None = None, *, force: bool = False) -> bool:
    """Stop the embedded server; return whether it was running.

    Args:
        home: as in `start_server`.
        force: stop it even if processes use it; their requests fail from then on.

    Raises:
        ServerInUseError: it is in use, and `force` is false; the message names the processes.
        ServerError: it did not stop in time.
    """
    place = _place(home)
    if not _running(place):
        return False
    unused = take_unused(
        place.users_lock
    )  # held until the server has stopped: a process that attaches in the meantime waits, and starts it again
    try:
        if unused is None and not force:
            raise ServerInUseError(f"{_who(place)} the embedded server in {place.root}: wait for that to end, or use --force")
        _end(place)
        return True
    finally:
        if unused is not None:
            unused.close()


def _place(home: str | None) -> Home:
    configured = None if home else load_settings().home
    place = locate(configured.value if configured else home)
    check_readable(place)
    return place


def _end(home: Home) -> None:
    patience = Patience(_STOP_LIMIT)
    asked: set[int] = set()
    while _running(home):
        watchdog, where = _watchdog(home)
        if watchdog and where not in {"", processes.scope()}:
            raise ServerError(
                f"the embedded server in {home.root} is kept by a process of another container (another pid namespace):"
                " stop it there, with `flowq server stop`"
            )
        server = resp.server_pid(home.socket) if watchdog is None else 0
        for pid in {watchdog or 0, server} - asked - {0}:
            asked.add(pid)
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGTERM)
        if patience.over():
            raise ServerError(
                f"the embedded server in {home.root} did not stop within {_STOP_LIMIT:g} s: see {home.watchdog_log}"
            )
        time.sleep(0.005)


def _running(home: Home) -> bool:
    return is_held(home.alive_lock) or is_held(home.watchdog_lock)


def _watchdog(home: Home) -> tuple[int | None, str]:
    """Return the process id of the watchdog, or None, and the scope of that id (`flowq.processes.scope`)."""
    if not is_held(home.watchdog_lock):
        return None, ""
    lock = LockFile(home.watchdog_lock)
    try:
        text, _, where = lock.read().removesuffix(STOPPING).strip().partition(" ")
    finally:
        lock.close()
    return (int(text) if text.isdigit() else None), where


def _status(home: Home) -> ServerStatus:
    if not _running(home):
        return ServerStatus(home.root, running=False, in_use=False)
    unused = take_unused(home.users_lock)
    if unused is not None:
        unused.close()
    facts = resp.info(home.socket)
    product = "valkey" if "valkey_version" in facts else "redis"
    return ServerStatus(
        home.root,
        running=True,
        in_use=unused is None,
        socket=home.socket,
        version=f"{product} {facts.get(f'{product}_version', '?')}",
        pid=int(facts.get("process_id", 0)) or None,
        watchdog=_watchdog(home)[0],
        users=_connected(home),
        pinned=os.path.exists(home.pin),
        uptime=float(facts.get("uptime_in_seconds", 0)),
        memory=int(facts.get("used_memory", 0)),
        disk=int(facts.get("aof_current_size", 0)),
    )


def _connected(home: Home) -> tuple[int, ...]:
    """Return the processes that have a connection: flowq's clients are named `flowq-<host>-<pid>`."""
    try:
        clients = resp.request(home.socket, "CLIENT", "LIST", timeout=2.0).decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(sorted({int(match[1]) for match in _CLIENT.finditer(clients)}))


def _who(home: Home) -> str:
    users = _connected(home)
    if not users:
        return "a flowq process uses"
    if len(users) == 1:
        return f"a flowq process ({users[0]}) uses"
    return f"{len(users)} flowq processes ({', '.join(map(str, users))}) use"
