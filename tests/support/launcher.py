"""Processes of flowq that start as forks of one that has imported it: processes as any other, without 0.2 s of imports in each.

What a process finds is what it would find as `python -m MODULE`: its arguments, environment, directory, standard streams and session, and no
other descriptor. In /proc it has the command line of the launcher. What a variable changes before the first import (PYTHON…, the locale) a
fork cannot have: such processes, and all where there is no /proc, start as usual.
"""

import atexit
import ctypes
import fcntl
import gc
import logging
import marshal
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any, Final

MARK: Final = "FLOWQ_TEST_MARK"
"""A variable that tells processes of a test, and their descendants, from others: see `survivors`."""

_NO_MARK: Final = "0" * 16
PID: Final = 10  # bytes of a process id, which the exit code follows
BEFORE_IMPORTS: Final = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
_PRELOADED: Final = (
    "flowq.worker.program",
    "flowq.cli",
    "flowq.compiler",
    "flowq.embedded",
    "flowq.flows",
    "flowq.schedules",
    "flowq.serve.service",
    "flowq.store",
)
"""Modules, and packages with all that is in them."""

_LIBRARIES: Final = ("email.parser", "jsonschema", "jsonschema_rs", "networkx", "statistics", "tomllib", "yaml")
"""What those import only when they need it."""

_SAID_AFTER: Final = {"flowq.cli.context": "_SILENT", "flowq.worker.supervisor.slot": "_TOLD_AFTER"}
"""Seconds after which commands and workers say what they wait for. On a busy machine that would be a line more in outputs that tests compare."""

IMPATIENT: Final = "FLOWQ_TEST_IMPATIENT"
"""A variable of processes that are to say it as they do otherwise."""


def say_late(put: Callable[[ModuleType, str, float], object]) -> None:
    """Let flowq say after a minute what it waits for. The launcher does so, and tests that call the command line in their own process.

    Args:
        put: sets a constant of a module.
    """
    for name, seconds in _SAID_AFTER.items():
        module = import_module(name)
        assert isinstance(getattr(module, seconds), float)
        put(module, seconds, 60.0)


class Launched:
    """A process that the launcher has started, with the methods of `Popen` that tests use."""

    def __init__(self, status: int) -> None:
        self._status = status
        self.pid = int(os.read(status, PID))
        self.returncode: int | None = None

    def __del__(self) -> None:
        os.close(self._status)

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""
        return self.returncode if self._ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code.

        Raises:
            TimeoutExpired: it has not ended in time.
        """
        if not self._ended(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def _ended(self, timeout: float | None) -> bool:
        if self.returncode is None and select.select([self._status], [], [], timeout)[0]:
            self.returncode = int(
                os.read(self._status, 16) or b"-9"
            )  # nothing: the launcher is gone, and its processes are not known
        return self.returncode is not None


class Launcher:
    """The process that forks, started when it is first needed; it ends with this one.

    Args:
        python: its interpreter.
        environment: all its variables; by default those of this process.
        listens: the path of a socket at which it is asked, too.
    """

    def __init__(
        self, python: str = sys.executable, environment: Mapping[str, str] | None = None, listens: str | None = None
    ) -> None:
        self.environment = {**(os.environ if environment is None else environment), MARK: _NO_MARK}
        self._control, theirs = socket.socketpair()
        listener = None if listens is None else socket.socket(socket.AF_UNIX)
        if listener is not None and listens is not None:
            listener.bind(listens)
            listener.listen()
        with theirs:
            fds = [end.fileno() for end in (theirs, listener) if end is not None]
            self._process = subprocess.Popen(
                [python, __file__, *map(str, fds)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=fds,
            )
        if listener is not None:
            listener.close()

    def close(self) -> None:
        """End it; what it has started goes on."""
        self._control.close()
        self._process.wait()

    def start(self, request: dict[str, Any], streams: tuple[int, int, int]) -> Launched:
        status, theirs = os.pipe()
        with tempfile.TemporaryFile() as file:
            marshal.dump(request, file)
            file.flush()
            file.seek(0)
            socket.send_fds(self._control, [b"!"], [file.fileno(), theirs, *streams])
        os.close(theirs)
        return Launched(status)

    def can(self, environment: Mapping[str, str]) -> bool:
        """Return whether a fork is what a new process with this environment would be."""
        if IMPATIENT in environment:
            return False
        mine, wanted = (
            {name: value for name, value in names.items() if name.startswith(BEFORE_IMPORTS)}
            for names in (self.environment, environment)
        )
        return mine == wanted


_launchers: Final[list[Launcher]] = []


def start(
    module: str,
    *arguments: str,
    env: Mapping[str, str],
    cwd: str | os.PathLike[str] | None = None,
    stdin: int | None = None,
    output: int | None = None,
    errors: int | None = None,
    session: bool = False,
    terminal: bool = False,
    safe_path: bool = False,
) -> "Launched | subprocess.Popen[bytes]":
    """Start `python -m MODULE ARGUMENTS…`.

    Args:
        module: the module.
        arguments: its arguments.
        env: all variables.
        cwd: the directory; by default the one of this process.
        stdin: the descriptor of standard input; by default the null device.
        output: the descriptor of standard output; by default that of this process.
        errors: the descriptor of standard error; by default that of this process.
        session: give it a session of its own.
        terminal: and let standard input be the terminal of that session.
        safe_path: with `-P`: modules are not looked for in its directory.
    """
    if not _launchers and sys.platform == "linux":
        _launchers.append(Launcher())
    if not _launchers or not _launchers[0].can(env):
        return subprocess.Popen(
            [sys.executable, *(["-P"] if safe_path else []), "-m", module, *arguments],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=errors,
            start_new_session=session or terminal,
            preexec_fn=_take_terminal if terminal else None,  # noqa: PLW1509 - it calls the kernel alone
        )
    request = {
        "module": module,
        "arguments": list(arguments),
        "environment": dict(env),
        "directory": os.fspath(cwd or os.getcwd()),
        "session": session or terminal,
        "terminal": terminal,
        "safe_path": safe_path,
    }
    with open(os.devnull, "rb") as nothing:
        return _launchers[0].start(
            request,
            (nothing.fileno() if stdin is None else stdin, 1 if output is None else output, 2 if errors is None else errors),
        )


# -- the launcher's own process --------------------------------------------------------------------------------------------------


def _serve(control: socket.socket, listener: socket.socket | None) -> dict[str, Any]:
    """Fork for each request until the control ends; return, in a fork, what it is asked for."""
    running: dict[int, int] = {}
    waking, wake = os.pipe()
    for end in (waking, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    while True:
        ready, _, _ = select.select([end for end in (control, listener, waking) if end is not None], [], [])
        if waking in ready:
            os.read(waking, 4096)
            _report(running)
        if control in ready:
            message, fds, _, _ = socket.recv_fds(control, 1, 8)
            if not message:
                sys.exit(0)
        elif listener in ready and listener is not None:
            status, _ = listener.accept()
            message, fds, _, _ = socket.recv_fds(status, 1, 8)
            fds.insert(1, status.detach())
            if not message:  # killed before it has asked
                os.close(fds[1])
                continue
        else:
            continue
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for asked in (control, listener):
                if asked is not None:
                    asked.detach()
            return _become(fds)
        running[pid] = fds.pop(1)
        with suppress(BrokenPipeError, ConnectionResetError):
            os.write(running[pid], b"%*d" % (PID, pid))
        for fd in fds:
            os.close(fd)


def _report(running: dict[int, int]) -> None:
    """Tell those who started them the exit codes of processes that have ended."""
    for pid, status in list(running.items()):
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            with suppress(BrokenPipeError, ConnectionResetError):
                os.write(status, b"%d" % os.waitstatus_to_exitcode(code))
            os.close(running.pop(pid))


def _become(fds: list[int]) -> dict[str, Any]:
    """Make this fork the process that the request, the first of the descriptors, describes."""
    with open(fds[0], "rb") as file:
        request: dict[str, Any] = marshal.load(file)  # noqa: S302 - the tests' own
    for number, fd in enumerate(fds[2:]):
        os.dup2(fd, number, inheritable=True)
    os.closerange(3, 4096)
    if request["session"]:
        os.setsid()
    if request["terminal"]:
        _take_terminal()
    os.chdir(request["directory"])
    environment = request["environment"]
    if mark := environment.get(MARK):
        _show(mark)
    os.environ.clear()
    os.environ.update(environment)
    for name, number, buffering in (("stdout", 1, -1), ("stderr", 2, 1)):  # as buffered as in a new process
        of_launcher = getattr(sys, name)
        stream = open(number, "w", buffering, of_launcher.encoding, of_launcher.errors, closefd=False)  # noqa: SIM115 - until the end
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.path[:] = _PATH if request["safe_path"] else [request["directory"], *_PATH]
    sys.argv[:] = ["-m", *request["arguments"]]
    return request


class _Child:
    """A process of flowq that a command starts, with what is used of `Popen`: a fork of the command, in place of a new interpreter.

    These are the worker of a command, and all below `flowq serve`. The commands have no threads and hardly any state when they start
    them. So what a fork has more than a new process is what this undoes.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        pass_fds: Sequence[int],
        start_new_session: bool,
        cwd: str = ".",
    ) -> None:
        assert (command[1:3], stdin, start_new_session) == (["-P", "-m"], subprocess.DEVNULL, True)
        place = os.open(cwd, os.O_RDONLY | os.O_DIRECTORY)  # fails here, as it does where a process is started
        self.args = command
        self.returncode: int | None = None
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # A handler of the command's must not take in the child what is meant for the child.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                self._run(command[3], command[4:], place, pass_fds, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            os.close(place)

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.returncode is None:
            ended, status = os.waitpid(self.pid, 0 if timeout is None else os.WNOHANG)
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif timeout == 0:
                break
            elif time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            else:
                time.sleep(0.005)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    @staticmethod
    def _run(module: str, arguments: Sequence[str], place: int, fds: Sequence[int], mask: set[Any]) -> None:
        code: Any = 1
        try:
            gc.freeze()  # what the command has open is closed below: no finalizer may close what has its number by then
            atexit._clear()
            os.fchdir(place)
            signal.set_wakeup_fd(-1)
            for number in signal.valid_signals():
                if callable(signal.getsignal(number)):  # a new process has none of the handlers, but ignores the same signals
                    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            with open(os.devnull, "rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            for first, last in pairwise((2, *sorted(fds), 4096)):
                os.closerange(first + 1, last)
            logging.root.handlers.clear()
            sys.path[:] = _PATH
            sys.argv[:] = ["-m", *arguments]
            sys.modules.pop(module, None)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = end.code
        except BaseException:  # noqa: BLE001 - as the interpreter tells it
            traceback.print_exc()
        finally:
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code or 0)


def _take_terminal() -> None:
    """Make standard input the terminal of this process's session: Ctrl+C and changes of its size then become signals."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _show(mark: str) -> None:
    """Write the mark where /proc shows the environment of this process and of its forks: over the launcher's own, in place."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    ctypes.memmove(getenv(MARK.encode()), mark.encode(), len(_NO_MARK))


if __name__ == "__main__":
    from pkgutil import walk_packages

    from flowq.connections.imports import import_less
    from flowq.worker.fork_server import huge_pages

    import_less()
    for _name in (*_PRELOADED, *_LIBRARIES):
        _module = import_module(_name)
        if _name in _PRELOADED and hasattr(_module, "__path__"):
            for _found in walk_packages(_module.__path__, f"{_name}."):
                import_module(_found.name)
    say_late(setattr)
    _PATH = sys.path[1:]  # the first is the directory
    gc.collect()
    gc.freeze()
    huge_pages.gather()
    _wanted = _serve(*[socket.socket(fileno=int(fd)) for fd in sys.argv[1:3]], *[None] * (3 - len(sys.argv)))
    for _starts in ("flowq.flows.local_worker.process", "flowq.serve.child"):
        vars(import_module(_starts))["subprocess"] = SimpleNamespace(Popen=_Child, DEVNULL=subprocess.DEVNULL)
    sys.modules.pop(_wanted["module"], None)
    runpy.run_module(_wanted["module"], run_name="__main__", alter_sys=True)
