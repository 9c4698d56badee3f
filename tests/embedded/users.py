"""Processes that use the embedded server like flowq commands, and the process ids behind the server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from flowq.embedded.control import server_status
from tests.support.wait import until

_USER = """
import sys
from flowq.embedded.attach import attach
from flowq.exceptions import FlowqError
sys.stdin.readline()
try:
    attachment = attach()
except FlowqError as error:
    print(f"{type(error).__name__}: {error}", flush=True)
    sys.exit(1)
print(attachment.socket, flush=True)
sys.stdin.readline()
attachment.close()
"""


class User:
    """A process that attaches on request, and stays attached until it is told to detach or killed."""

    def __init__(self, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _USER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environ,
        )

    def attach(self) -> None:
        """Tell it to attach; do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Wait for its output: the socket's path, or the error."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> int:
        """Tell it to detach; return its exit code."""
        self.process.communicate("\n", timeout=20)
        return self.process.returncode

    def kill9(self) -> None:
        """Kill it, attached or not."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def attached(count: int = 1, **environ: str) -> Iterator[list[User]]:
    """Run that many attached users for the time of the block."""
    users = [User(**environ) for _ in range(count)]
    try:
        for user in users:
            user.attach()
        assert all(user.answer().endswith(".sock") for user in users)
        yield users
    finally:
        for user in users:
            user.kill9()
            user.process.communicate()


def client(home: Path) -> redis.Redis:
    """Return a client of the home's server, which must be running."""
    return redis.Redis(unix_socket_path=server_status(str(home)).socket, protocol=2, socket_timeout=10)


def server_pid(home: Path) -> int:
    """Return the id of the running server's process."""
    pid = until(lambda: server_status(str(home)).pid, message="the server to answer")
    assert pid
    return pid


def watchdog_pid(home: Path) -> int:
    """Return the id of the watchdog's process."""
    pid = until(lambda: server_status(str(home)).watchdog, message="a watchdog")
    assert pid
    return pid


def gone(pid: int) -> bool:
    """Return whether no process has this id any more, or only a zombie."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip()[:1] in {"", "Z"}


def processes(home: Path) -> list[str]:
    """Return the command lines of all processes that belong to this home."""
    answer = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True, check=True)
    return [line for line in answer.stdout.splitlines() if str(home) in line]


def until_ended(home: Path) -> None:
    """Wait until no process belongs to this home any more."""

    def left() -> str:
        log = home / "keeper.log"
        return "\n".join(
            [f"the processes of {home} to end:", *processes(home), log.read_text() if log.exists() else "no keeper.log"]
        )

    until(lambda: not processes(home), message=left)
