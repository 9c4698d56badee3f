"""A private server for tests, on a unix socket in a short temporary directory, which ends with the test process."""

import ctypes
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from flowq.embedded.binary import find_server
from flowq.embedded.process import ENVIRONMENT, TUNED
from flowq.store.schema.rights import ServerRole, rules
from tests.support.wait import until

_PR_SET_PDEATHSIG = 1
_PASSWORD = "of-a-test"
_OF_TESTS = (
    "type",
    "flushall",
    "config|set",
    "config|resetstat",
    "function|flush",
    "script|flush",
    "zincrby",
    "zscan",
    "pexpiretime",
)
"""What tests do to the server with the client of their store; flowq does not."""


class PrivateServer:
    """A server process and its directory. Call `start` before use and `stop` (idempotent) afterwards.

    Args:
        binary: path of the server to run; by default the one that flowq finds.
        environment: variables of its process beside the locale.
    """

    def __init__(self, binary: str | None = None, environment: Mapping[str, str] | None = None) -> None:
        self._environment = {**ENVIRONMENT, **(environment or {})}
        self.binary = binary or find_server().path
        self.directory = Path(
            tempfile.mkdtemp(prefix="fq-", dir="/tmp")
        )  # short, because a socket's path has at most 107 bytes
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._options: tuple[str, ...] = ()
        self._appendonly = "no"
        self._user = ""

    @property
    def socket(self) -> str:
        """The path of the socket."""
        return str(self.directory / "s")

    @property
    def url(self) -> str:
        """The address for `FLOWQ_REDIS_URL` and `-u`."""
        return f"unix://{self._user}:{_PASSWORD}@{self.socket}" if self._user else f"unix://{self.socket}"

    def restrict(self, role: ServerRole, *namespaces: str) -> None:
        """Let `url` and `user_client` be those of a user with the rights of a role, and no others, in these namespaces."""
        self._user = f"flowq-{role}"
        more = [rule for namespace in namespaces for rule in rules(role, namespace) if "~" in rule] + [
            f"+{name}" for name in _OF_TESTS
        ]
        with self.client() as client:
            old = str(client.info("server")["redis_version"]).startswith("7.0.")  # see docs/server.md
            given = [rule for rule in (*rules(role, namespaces[0]), *more) if not (old and rule == "+client|setinfo")]
            client.execute_command("ACL", "SETUSER", self._user, "on", f">{_PASSWORD}", *given)
            client.execute_command("ACL", "LOG", "RESET")

    @contextmanager
    def limited(self, role: str | None, *namespaces: str) -> Iterator[None]:
        """`restrict` to a role for as long as this lasts, in which nothing may be refused; without a role nothing changes."""
        if role:
            self.restrict(ServerRole(role), *namespaces)
        yield
        refused = self.refused() if role else []
        assert refused == [], "the rights of this role do not suffice"

    def refused(self) -> list[str]:
        """Return what the user of `restrict` was refused so far; without one, what all were."""
        with self.client() as client:
            log = client.execute_command("ACL", "LOG", "128")
        entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in log]
        own = [entry for entry in entries if not self._user or entry[b"username"].decode() == self._user]
        return sorted({f"{entry[b'reason'].decode()} {entry[b'object'].decode()}" for entry in own})

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self, *options: str, appendonly: bool = False) -> "PrivateServer":
        """Start the server and wait until it answers. `options` are arguments such as "--maxmemory", "3mb"."""
        self._appendonly = "yes" if appendonly else "no"
        self.set_options(*options)
        self._launch()
        return self

    def set_options(self, *options: str) -> None:
        """Let the next start have these arguments in place of those of `start`."""
        self._options = (*options, "--appendonly", self._appendonly)

    def restart(self, *, wait: bool = True) -> None:
        """Start again with the same options and data, after `kill9` or `stop(keep=True)`; unless `wait`, return at once."""
        self._launch(wait=wait)

    def kill9(self) -> None:
        """Kill the server with SIGKILL; keep its directory."""
        self._end(signal.SIGKILL)

    def stop(self, keep: bool = False) -> None:
        """Stop the server; unless `keep`, remove its directory."""
        self._end(signal.SIGTERM)
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def client(self, **options: Any) -> redis.Redis:
        """Return a new client: bytes in and out, no silent retries."""
        settings: dict[str, Any] = {"socket_timeout": 10, "retry": Retry(NoBackoff(), 0), "protocol": 2, **options}
        return redis.Redis(unix_socket_path=self.socket, **settings)

    def user_client(self, **options: Any) -> redis.Redis:
        """Return a client as `client` does, of the user of `restrict` if there is one."""
        return self.client(**({"username": self._user, "password": _PASSWORD} if self._user else {}), **options)

    def _launch(self, *, wait: bool = True) -> None:
        assert self._process is None, "the server is running"
        Path(self.socket).unlink(missing_ok=True)
        command = [self.binary, "--port", "0", "--unixsocket", self.socket, "--save", "", "--enable-debug-command", "yes"]
        command += [part for name, value in TUNED.items() for part in (f"--{name}", value)]
        command += ["--dir", str(self.directory), "--logfile", str(self.log), *self._options]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=self._environment,
            preexec_fn=_as_a_server,  # noqa: PLW1509, no other thread runs while a test starts its server
        )
        if wait:
            until(self._answers, 20, f"the server to answer, see {self.log}")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the server ended at once:\n{self.log.read_text(errors='replace')[-2000:]}")
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.exceptions.AuthenticationError:  # it was started with a password
                return True
            except redis.exceptions.ConnectionError:  # not started yet, or loading
                return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)  # a test may have paused it
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None


def _as_a_server() -> None:
    die_with_parent()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a limit of its files is an error for it, like a full disk


def die_with_parent() -> None:
    """Make this child die with the test process on Linux, so that a killed test run leaves no server."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
