"""The watchdog: a small process that owns the embedded server from the first user's attachment to the last one's end.

`attach` starts it with exec in its own session, so that Ctrl+C does not reach it and it does not inherit the size of the process that
started it. It blocks in the kernel until an event comes: it does not poll while the server is in use. While it is unused and pinned, it looks now
and then whether the directory is still there.

    started ──> take alive.lock ── free ──> start the server ──┐
                     └── held: one runs already, adopt it ─────┴──> in use <──> unused for `linger` seconds ──> stop it, exit
                                                                     │ died: restart it

Two threads wait for locks (a blocking `flock` needs a thread) and report over a pipe that the main thread reads; they do nothing
else. The main thread makes all decisions, in `Watchdog.serve`.
"""

import _thread
import os
import select
import signal
import sys
import time
from contextlib import suppress

from flowq import processes
from flowq.embedded.directory import NO_ROOM, Home, unusable
from flowq.embedded.locks import LockFile, take_unused
from flowq.embedded.patience import Patience
from flowq.embedded.process import ServerProcess, StartError, rotate

LOCK_DESCRIPTOR = 3  # where `attach` puts the locked keeper.lock
READY_DESCRIPTOR = 4  # a pipe to the process that started the watchdog: "ok" or an error message
STOPPING = "stopping"
HANDED, ORPHANED = "handed", "orphaned"  # started by `attach` with both descriptors, or by the shell of a dead watchdog

_STOP_LIMIT = 15.0  # s from SIGTERM to SIGKILL
_LOOK_WHILE_IT_STOPS = 1.0  # s
_CRASH_WINDOW = 60.0  # s; repeated crashes within them lengthen the pause before a restart
_LONGEST_PAUSE = 2.0  # s between attempts to restart a server
_SOONEST_LOOK = 1.0  # s between looks whether the directory of an unused, pinned server is still there; else it is `linger`

_UNUSED, _DIED = b"u", b"d"
_TERMINATE, _CHILD = bytes([signal.SIGTERM]), bytes([signal.SIGCHLD])


class Witness:
    """A shell that waits for the watchdog's death and then replaces itself by the next watchdog.

    It reads a pipe whose other end only the watchdog has. A line means that the watchdog exits normally, end of file that it was
    killed. A shell is small, and survives a `pkill python`, which must not orphan a server.
    """

    __slots__ = ("command", "end", "pid")

    _SCRIPT = 'read -r _ || exec "$@" </dev/null'

    def __init__(self, command: list[str]) -> None:
        self.command = command
        self.end = -1
        self.pid = 0

    def post(self) -> None:
        """Start the shell, or start it again after it was killed."""
        self.dismiss()
        read, self.end = os.pipe()
        self.pid = os.posix_spawn(
            "/bin/sh",
            ["sh", "-c", self._SCRIPT, "flowq-witness", *self.command],
            dict(os.environ),
            file_actions=[(os.POSIX_SPAWN_DUP2, read, 0)],
        )
        os.close(read)

    def dismiss(self) -> None:
        """Tell the shell that the watchdog exits normally."""
        if self.end >= 0:
            end, self.end = self.end, -1
            try:
                os.write(end, b"\n")
            except BrokenPipeError:
                log("the witness is gone")
            os.close(end)


class Watchdog:
    """The main loop of a watchdog. `serve` returns when the server has been stopped."""

    def __init__(self, lock: LockFile, server: ServerProcess, witness: Witness, linger: float) -> None:
        self.lock = lock
        self.home = server.home
        self.server = server
        self.witness = witness
        self.linger = linger
        self._deaths: list[float] = []
        self._died = False
        self._socket = ""  # of the running server
        self._events, self._post = os.pipe()
        os.set_blocking(self._post, False)
        # Python itself writes the number of a signal. A handler cannot: it is called when the main thread goes on, and a signal that
        # another thread gets, or that comes just before `select`, does not make it go on.
        signal.set_wakeup_fd(self._post)
        signal.signal(signal.SIGTERM, lambda _, __: self._terminate())
        signal.signal(signal.SIGCHLD, lambda _, __: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def serve(self) -> None:
        """Keep the server running until it has been unused for `linger` seconds, its directory was removed, or a signal stops it."""
        self._watch(self.home.alive_lock, _DIED)
        self._socket = self.home.socket
        try:
            self._serve()
        except FileNotFoundError:  # between two looks
            if self.lock.is_in_place():
                raise
            self._leave()

    def _serve(self) -> None:
        self._watch(self.home.users_lock, _UNUSED)
        unused = pinned = False
        while True:
            event = self._next((max(self.linger, _SOONEST_LOOK) if pinned else self._remaining()) if unused else None)
            if event == _TERMINATE:
                self._stop()
                return
            if event == _CHILD:
                self._reap()
            elif event == _DIED:
                if not self._revive():
                    return
            elif event == _UNUSED:
                unused = True
            elif not self.lock.is_in_place():
                self._leave()
                return
            elif not self._remaining():
                pinned = self._is_pinned(pinned)
                if pinned:
                    continue
                users = take_unused(self.home.users_lock)
                if users is not None:
                    self._stop()
                    return  # still holding the lock: a process that attaches now waits, and starts the next watchdog
                if self.lock.is_in_place():  # else these are the users of another server, and the next look tells it
                    unused = False
                    self._watch(self.home.users_lock, _UNUSED)

    # -- events

    def _watch(self, path: str, event: bytes) -> None:
        """Start a thread that waits until this lock is free, and reports it."""
        lock = LockFile(path)

        def wait() -> None:
            lock.exclusive()
            lock.close()
            os.write(self._post, event)

        _thread.start_new_thread(wait, ())

    def _terminate(self) -> None:
        self.server.unwanted = True

    def _next(self, timeout: float | None) -> bytes:
        """Return the next event; empty if none came within `timeout` seconds."""
        ready, _, _ = select.select([self._events], [], [], timeout)
        return os.read(self._events, 1) if ready else b""

    def _is_pinned(self, was: bool) -> bool:
        pinned = os.path.exists(self.home.pin)
        if pinned and not was:
            log("the server is unused, but pinned")
        return pinned

    def _remaining(self) -> float:
        """Return the seconds until an unused server is stopped: users touch their lock file when they attach and detach."""
        try:
            age = time.time() - os.path.getmtime(self.home.users_lock)
        except FileNotFoundError:
            return 0.0  # the directory was removed
        return min(max(self.linger - age, 0.0), self.linger)  # the clock may have been set

    # -- reactions

    def _leave(self) -> None:
        """Stop a server that no process can find any more."""
        log(f"{self.home.root} was removed")
        self._stop()

    def _revive(self) -> bool:
        """Restart the server after its death if it is needed, else tidy up; return whether it runs."""
        self._died = True
        if not self.lock.is_in_place():  # another server may have its place
            self._leave()
        elif self._restart():
            return True
        else:
            self.home.tidy()
        return False

    def _restart(self) -> bool:
        """Restart the server after its death, trying as long as it is needed; return whether it runs.

        The cause of a failed start may disappear (a full disk), and workers wait for the server.
        """
        log(f"the server (process {self.server.pid}) died")
        while not self.server.unwanted and self._needed():
            now = time.monotonic()
            self._deaths = [*(death for death in self._deaths if now - death < _CRASH_WINDOW), now]
            if len(self._deaths) > 1:
                time.sleep(min(0.05 * 2 ** len(self._deaths), _LONGEST_PAUSE))
            try:
                self.server.ensure()
            except StartError as error:
                log(str(error))
                continue
            log(f"started it again (process {self.server.pid})")
            self._socket = self.home.socket
            self._died = False
            self._watch(self.home.alive_lock, _DIED)
            return True
        return False

    def _needed(self) -> bool:
        """Return whether a process is attached or the server is pinned."""
        users = take_unused(self.home.users_lock)
        if users is None:
            return True
        users.close()
        return os.path.exists(self.home.pin)

    def _reap(self) -> None:
        """Reap dead children; replace a dead witness. The death of the server is noticed by its lock."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.witness.pid:
                self.witness.post()

    def _stop(self) -> None:
        """Stop the server; kill it if it does not stop in time."""
        log("stopping the server")
        with suppress(
            OSError
        ):  # the disk may be full. Before the server ends, so that a process that attaches now does not use it
            self.lock.write(f"{_here()} {STOPPING}")
        in_place = self.lock.is_in_place()  # else the directory was removed, and the files there may be those of another server
        if not self._died:
            self._end(signal.SIGTERM if in_place else signal.SIGKILL)  # at SIGTERM it would remove the socket
        if in_place:
            self.home.tidy()
        elif os.path.dirname(self._socket) != self.home.root:
            with suppress(OSError):
                os.unlink(self._socket)
            self.home.remove_place_of(self._socket)

    def _end(self, number: int) -> None:
        """Send the server a signal that ends it, and wait for its end."""
        self.server.signal(number)
        patience = Patience(_STOP_LIMIT)
        while self._next(min(_LOOK_WHILE_IT_STOPS, max(0.0, patience.left))) != _DIED:
            if patience.over():
                log("the server does not stop: killing it")
                self.server.signal(signal.SIGKILL)
                patience = Patience(_STOP_LIMIT)


def log(text: str) -> None:
    """Write one line to the watchdog's log, which is this process's stderr."""
    with suppress(OSError):  # a full disk is no reason to leave the server alone
        sys.stderr.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} watchdog {os.getpid()}: {text}\n")


def command(home: Home, binary: str, version: str, linger: float, origin: str) -> list[str]:
    """Return the argument vector of a watchdog: minimal Python, without the user's directories in its path."""
    start = "from flowq.embedded.watchdog import main; main()"
    return [sys.executable, "-S", "-s", "-P", "-c", start, home.root, binary, version, repr(linger), origin]


def main() -> None:
    """Run a watchdog; the arguments are those of `command`."""
    root, binary, version, linger, origin = sys.argv[1:]
    home = Home(root)
    os.umask(0o077)
    os.chdir(root)
    lock = _detach(home) if origin == HANDED else _inherit(home)
    if lock is None:
        return
    server = ServerProcess(home, binary)
    witness = Witness(command(home, binary, version, float(linger), ORPHANED))
    watchdog = Watchdog(lock, server, witness, float(linger))
    status = 0
    try:
        with suppress(OSError):  # a full disk: the server may still serve reads
            lock.write(_here())
        server.ensure()
        if server.own:
            _note_version(home, version)
        if origin == HANDED:
            home.unpin()  # the pin of a server that a power cut ended; `flowq server start` pins the new one after this
        log(f"keeping the server (process {server.pid}, {'started' if server.own else 'adopted'})")
        witness.post()
        _answer(origin, "ok")
        watchdog.serve()
    except (StartError, OSError) as error:
        text = str(unusable(home, error) if isinstance(error, OSError) and error.errno in NO_ROOM else error)
        log(text)
        _answer(origin, text)
        status = 1
    witness.dismiss()
    lock.write("")
    os._exit(status)  # at once: threads are waiting for locks


def _here() -> str:
    """Return this process's id and the scope of that id, for other processes."""
    return f"{os.getpid()} {processes.scope()}"


def _inherit(home: Home) -> LockFile | None:
    """Take a dead watchdog's lock; return None if another process was quicker and has started a watchdog."""
    lock = LockFile(home.watchdog_lock)
    for _ in range(20):  # a process that checks for a watchdog holds the lock for a moment
        if lock.try_exclusive():
            return lock
        time.sleep(0.005)
    return None


def _detach(home: Home) -> LockFile:
    """Become a daemon: no terminal, no parent that must reap it, no inherited open files."""
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    try:
        rotate(home.watchdog_log)
        output = os.open(home.watchdog_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:  # the disk is full: if the server cannot start either, that is told
        output = os.open(os.devnull, os.O_WRONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    _close_after(READY_DESCRIPTOR)
    for descriptor in (LOCK_DESCRIPTOR, READY_DESCRIPTOR):
        os.set_inheritable(descriptor, False)
    return LockFile(home.watchdog_lock, LOCK_DESCRIPTOR)


def _close_after(last: int) -> None:
    """Close the open files with higher numbers than this."""
    try:
        names = os.listdir("/dev/fd")
    except OSError:  # a chroot without /proc: all numbers have to be tried
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        return
    for name in names:
        if int(name) > last:
            try:
                os.close(int(name))
            except OSError:
                continue  # the descriptor of the directory listing


def _answer(origin: str, text: str) -> None:
    """Report the result of the start to the process that waits for it, which may have died."""
    if origin == HANDED:
        try:
            os.write(READY_DESCRIPTOR, text.encode())
            os.close(READY_DESCRIPTOR)
        except OSError:
            return


def _note_version(home: Home, version: str) -> None:
    """Record the server's product and version, for the check that no older one opens the data."""
    try:
        with open(f"{home.written_by}.new", "w", encoding="utf-8") as file:
            file.write(f"{version}\n")
        os.replace(f"{home.written_by}.new", home.written_by)
    except OSError as error:
        log(f"{home.written_by} cannot be written: {error.strerror}")  # as with a full disk: the server may still serve reads
