"""The server's process: started with options that keep its data safe, or adopted from a killed watchdog."""

import os
import re
import signal
import time
from contextlib import suppress

from flowq.embedded import resp
from flowq.embedded.directory import Home
from flowq.embedded.locks import LockFile
from flowq.embedded.patience import Patience

_START_LIMIT = 20.0  # s to wait for a running server that does not answer
_CUT = b"Truncating the AOF"  # what the log says of a file that a power cut has left without its end
TUNED = {"latency-tracking": "no"}
"""Options that cost something for nothing: flowq reads no percentiles of the time of commands."""
_LOG_LIMIT = 1024 * 1024  # bytes; a longer log is rotated at the next start


def _libc() -> str:
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # another C library
        return ""


def pieces_aside(libc: str) -> int:
    """Return how many freed pieces of a size the malloc of glibc is to put aside, by its name and version.

    Before 2.30 it counts them in a signed byte: with a higher limit it would put aside whatever is freed, or end the process.
    """
    major, minor, *_ = map(int, re.findall(r"\d+", libc) or (0, 0))
    return 2000 if (major, minor) >= (2, 30) else 127


ENVIRONMENT = {"LC_ALL": "C", "GLIBC_TUNABLES": f"glibc.malloc.tcache_count={pieces_aside(_libc())}"}
"""The environment of the server. The packaged one uses the malloc of glibc, which is slow once it has put seven pieces of a size aside."""


class StartError(Exception):
    """The server could not be started. The text is for the user."""


class ServerProcess:
    """A server process and its directory.

    `own`: it is a child of this process. `pid` is 0 while unknown. `unwanted`, set by a signal handler: a caller that waits for the
    server to start must stop it instead.
    """

    __slots__ = ("binary", "home", "own", "pid", "unwanted")

    def __init__(self, home: Home, binary: str) -> None:
        self.home = home
        self.binary = binary
        self.pid = 0
        self.own = False
        self.unwanted = False

    def ensure(self) -> None:
        """Start the server, or adopt a running one; return when it is ready (an adopted one may still be loading).

        Raises:
            StartError: it did not start, or a running one does not answer.
        """
        alive = LockFile(self.home.alive_lock)
        try:
            if alive.try_exclusive():
                self._start(alive)
            else:
                self._adopt()
        finally:
            alive.close()  # the server has its own copy of the descriptor by now

    def _start(self, alive: LockFile) -> None:
        path = self.home.settle_socket()
        if os.path.exists(path):
            os.unlink(path)  # left by a killed server
        rotate(self.home.server_log)
        said_before = size_of(self.home.server_log)
        os.set_inheritable(alive.fileno(), True)
        self.pid = os.posix_spawn(self.binary, self._command(path), ENVIRONMENT, setsigmask=[])
        self.own = True
        self._wait_until_it_answers(path)
        if _CUT in read_from(self.home.server_log, said_before):
            # Redis and older Valkey leave half of the last change in the file and would make it at the next start, with those that
            # follow it now. A new file, written from memory, does not have it.
            with suppress(OSError):
                resp.request(path, "BGREWRITEAOF", timeout=_START_LIMIT)

    def _command(self, path: str) -> list[str]:
        options = {
            "port": "0",
            "unixsocket": path,
            "unixsocketperm": "600",
            "dir": self.home.data,
            "logfile": self.home.server_log,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-use-rdb-preamble": "no",  # with it, another product or version might not read the file
            "save": "",  # only the append-only file is used
            "maxmemory-policy": "noeviction",
            **TUNED,
        }
        return [self.binary, *(part for name, value in options.items() for part in (f"--{name}", value))]

    def _adopt(self) -> None:
        path = self.home.socket
        patience = Patience(_START_LIMIT)
        while True:
            if resp.info(path) or resp.ping(path) == resp.LOADING:
                self.pid = resp.server_pid(path)
                self.own = False
                return
            probe = LockFile(self.home.alive_lock)
            gone = probe.try_exclusive()
            probe.close()
            if gone:
                self.ensure()
                return
            if patience.over():
                raise StartError(
                    f"a server that an earlier flowq started for {self.home.root} is running but does not answer:"
                    " look for it with `ps` and end it"
                )
            time.sleep(0.02)

    def _wait_until_it_answers(self, path: str) -> None:
        """Wait until the server is ready. LOADING is not enough: loading may take long, and may fail."""
        patience = Patience(_START_LIMIT)
        pause = 0.001
        killed = False
        while (answer := resp.ping(path)) != resp.ALIVE:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                raise StartError(f"the embedded server {self._what_it_did(killed)}")
            if answer == resp.LOADING:
                patience = Patience(_START_LIMIT)
            if self.unwanted:
                os.kill(self.pid, signal.SIGTERM)
            elif patience.over():
                os.kill(self.pid, signal.SIGKILL)
                killed = True
            time.sleep(pause)
            pause = min(pause * 1.5, 0.02)

    def _what_it_did(self, killed: bool) -> str:
        log = self.home.server_log
        if not _has_room(self.home.root):
            return f"ended as it started: the disk of {log} is full: make room"
        if killed:
            return f"did not answer for {_START_LIMIT:g} s after its start, and was killed: try again on a machine that is less busy; its log is {log}"
        return f"ended as it started: {last_words(log)}; its log is {log}"

    def signal(self, number: int) -> None:
        """Send the server a signal if it is alive; to a server in another pid namespace, as in a container, send a command."""
        pid = self.pid or resp.server_pid(self.home.socket)
        try:
            if pid:
                os.kill(pid, number)
            else:
                resp.request(self.home.socket, "SHUTDOWN", "NOSAVE", timeout=1.0)
        except OSError:
            return  # it has just ended


def _has_room(directory: str) -> bool:
    """Return whether something can be written on the disk of a directory; some file systems do not count their files."""
    disk = os.statvfs(directory)
    return bool(disk.f_bavail and (disk.f_ffree or not disk.f_files))


def last_words(path: str) -> str:
    """Return the last warning, else the last line, of a server's log, without process id and date."""
    lines = read_from(path, max(0, size_of(path) - 4096)).decode("utf-8", "replace").strip().splitlines()
    for line in reversed(lines[-10:]):
        if " # " in line:
            return line.split(" # ", 1)[1]
    return lines[-1] if lines else "it left no log"


def size_of(path: str) -> int:
    """Return the bytes of a file; 0 if there is none."""
    try:
        return os.path.getsize(path)
    except OSError:
        return 0


def read_from(path: str, place: int) -> bytes:
    """Return the bytes of a log from this place on; none of one that is not there."""
    try:
        with open(path, "rb") as log:
            log.seek(place)
            return log.read()
    except OSError:
        return b""


def rotate(path: str) -> None:
    """Rotate a log that has grown too long; one older file is kept."""
    if size_of(path) > _LOG_LIMIT:
        os.replace(path, f"{path}.1")
