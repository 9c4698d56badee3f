"""Attaching to the embedded server: start it if needed, and hold the lock that keeps it running."""

import errno
import os
import select
import signal
import time
from collections.abc import Mapping
from fcntl import F_DUPFD_CLOEXEC, fcntl
from types import TracebackType
from typing import Final, Self

from flowq.embedded import resp, watchdog
from flowq.embedded.binary import ServerBinary, find_server
from flowq.embedded.directory import NO_ROOM, Home, locate, prepare, unusable
from flowq.embedded.locks import LockFile, is_held
from flowq.embedded.patience import Patience
from flowq.embedded.process import last_words
from flowq.exceptions import ConfigError, ServerError, ServerUnavailableError

LINGER: Final = 30.0  # s that the server outlives its last user; `FLOWQ_LINGER` overrides it

_START_LIMIT: Final = 30.0  # s to wait for a server that does not answer; the watchdog gives up earlier
_SILENT_LIMIT: Final = 10.0  # s for one that runs, and accepts connections, to answer: as long as any other server has
_LOAD_LIMIT: Final = 600.0  # s for the server to load its data
_COMMON_ANCESTOR: Final = (7, 2)  # the last version of Redis whose data Valkey can read

_KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "TZ")
"""The environment variables passed to the watchdog, which outlives the command and so must not hold secrets."""


class Attachment:
    """A process's use of the embedded server, which runs as long as a process is attached.

    This process and its forked children (until they exec) hold the lock. A process that is to outlive this one must attach itself.
    """

    __slots__ = ("_users", "home", "linger", "socket")

    def __init__(self, home: Home, socket: str, users: LockFile, linger: float = LINGER) -> None:
        self.home = home
        self.socket = socket
        self.linger = linger  # s that a server waits for users, and users wait for one that was stopped
        self._users = users

    @property
    def url(self) -> str:
        """The server's address, in the form of `FLOWQ_REDIS_URL`."""
        return f"unix://{self.socket}"

    @property
    def stopped(self) -> str | None:
        """Where neither the server nor its watchdog runs any more, what to do about that: nothing starts it again by itself."""
        if is_held(self.home.watchdog_lock) or is_held(self.home.alive_lock):
            return None
        return f"the embedded server in {self.home.root} was stopped: `flowq server start` starts it again"

    def close(self) -> None:
        """Release the server. Closing twice is allowed; garbage collection closes an attachment."""
        if self._users.fileno() >= 0:
            self._users.touch()
            self._users.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


def attach(home: str | None = None, environ: Mapping[str, str] = os.environ) -> Attachment:
    """Attach to the embedded server, and start it if it is not running. Attaching to a running one takes less than a millisecond.

    Args:
        home: the state directory; None: the configured one, see `flowq.embedded.directory.locate`.
        environ: the environment, for `FLOWQ_HOME`, `FLOWQ_LINGER`, `FLOWQ_REDIS_SERVER` and others.

    Raises:
        ConfigError: the state directory cannot be used.
        ServerNotFoundError: there is no server binary.
        ServerError: the server does not start; the message says why.
        ServerUnavailableError: it did not answer in time.
    """
    place = locate(home, environ)
    try:
        return _attach(place, environ)
    except OSError as error:
        if error.errno in {*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM}:
            raise unusable(place, error) from error
        raise


def _attach(place: Home, environ: Mapping[str, str]) -> Attachment:
    prepare(place)
    patience = Patience(_START_LIMIT)
    users = LockFile(place.users_lock)
    try:
        users.shared(patience)  # waits while a watchdog is stopping the server
        users.touch()
        _wait_until_alive(place, patience, environ)
    except BaseException:
        users.close()
        raise
    return Attachment(place, place.socket, users, _linger(environ))


def _wait_until_alive(home: Home, patience: Patience, environ: Mapping[str, str]) -> None:
    loading = Patience(_LOAD_LIMIT)
    silence: Patience | None = None
    pause = 0.001
    while True:
        kept = _ensure_watchdog(home, environ)
        answer = resp.ping(home.socket)
        if kept and answer == resp.ALIVE:
            return
        silence = (silence or Patience(_SILENT_LIMIT)) if kept and answer == resp.SILENT else None
        hangs = silence is not None and silence.over()
        if hangs or (loading if answer == resp.LOADING else patience).over():
            raise ServerUnavailableError(
                f"the embedded server in {home.root} does not answer ({answer}; watchdog: {last_words(home.watchdog_log)}):"
                " see server.log there, or stop it with `flowq server stop --force` and try again"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


def _ensure_watchdog(home: Home, environ: Mapping[str, str]) -> bool:
    """Start a watchdog if there is none; return whether a watchdog runs that is not stopping.

    The process that finds the lock free takes it and passes it to the watchdog, without a gap.
    """
    lock = LockFile(home.watchdog_lock)
    try:
        if not lock.try_exclusive():
            return not lock.read().endswith(watchdog.STOPPING)
        linger = _linger(environ)
        binary = find_server(environ)
        _refuse_older(home, binary)
        _launch(home, watchdog.command(home, binary.path, str(binary), linger, watchdog.HANDED), lock)
        return True
    finally:
        lock.close()


def _launch(home: Home, command: list[str], lock: LockFile) -> None:
    """Start the watchdog with the lock and wait until it reports."""
    ready, answer = os.pipe()
    try:
        try:
            pid = _spawn(command, {watchdog.LOCK_DESCRIPTOR: lock.fileno(), watchdog.READY_DESCRIPTOR: answer})
        finally:
            os.close(answer)
        try:
            _await_word(home, ready)
        finally:
            _reap(pid)
    finally:
        os.close(ready)


def _spawn(command: list[str], descriptors: dict[int, int]) -> int:
    """Start a process with copies of descriptors (values) under given numbers (keys, below 10); return its id."""
    # Copy them above all targets first, so that no duplication overwrites the source of another.
    sources = {target: fcntl(descriptor, F_DUPFD_CLOEXEC, 10) for target, descriptor in descriptors.items()}
    try:
        return os.posix_spawn(
            command[0],
            command,
            _environment(),
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for target, source in sources.items()],
            setsigmask=[signal.SIGINT],  # Ctrl+C is for this process; the watchdog ignores it once it is up
            setsigdef=[signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP],
        )
    except OSError as error:
        raise ServerError(
            f"the watchdog of the embedded server cannot be started: {error.strerror} ({command[0]!r})"
        ) from error
    finally:
        for source in sources.values():
            os.close(source)


def _await_word(home: Home, ready: int) -> None:
    text = b""
    while True:
        if not select.select([ready], [], [], _LOAD_LIMIT)[0]:
            raise ServerUnavailableError(f"the watchdog of the embedded server does not start: see {home.watchdog_log}")
        data = os.read(ready, 4096)
        if not data:
            break
        text += data
    if text != b"ok":
        raise ServerError(
            text.decode("utf-8", "replace") or f"the watchdog of the embedded server ended: see {home.watchdog_log}"
        )


def _reap(pid: int) -> None:
    """Reap the process from which the watchdog detached itself; it ends at once."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return  # the system, or a handler of this process, reaps its children


def _environment() -> dict[str, str]:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | {"PYTHONPATH": root}


def _linger(environ: Mapping[str, str]) -> float:
    text = environ.get("FLOWQ_LINGER", "")
    try:
        seconds = float(text) if text else LINGER
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"FLOWQ_LINGER must be a number of seconds from 0, found {text!r}")
    return seconds


def _refuse_older(home: Home, binary: ServerBinary) -> None:
    """Refuse a server that may not be able to read the data of a newer or a different one: it could start empty without an error."""
    try:
        with open(home.written_by, encoding="utf-8") as file:
            product, _, version = file.read().strip().partition(" ")
        written = tuple(int(part) for part in version.split("."))
    except (FileNotFoundError, ValueError):
        return
    readable = written[:2] <= (binary.version[:2] if product == binary.product else _COMMON_ANCESTOR)
    if not readable:
        raise ServerError(
            f"the data in {home.data} was written by {product} {version}, but the server found is {binary} ({binary.path}), which may"
            f" not read it: set FLOWQ_REDIS_SERVER to a {product}-server {version} or newer, or move {home.data} away to start empty"
        )
