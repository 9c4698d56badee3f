"""What floors are made of: the commands that the scripts of flowq send to the server, replayed by scripts that do nothing else."""

import ast
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tests.support.server import PrivateServer

if TYPE_CHECKING:
    from redis import Redis


def connected(server: PrivateServer) -> socket.socket:
    """Return a connection without a library."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(server.url.partition("://")[2].partition("?")[0])
    return connection


def server_seconds(client: "Redis") -> float:
    """Return the CPU time that a server has used, in s."""
    told = client.info("cpu")
    return float(told["used_cpu_user"]) + float(told["used_cpu_sys"])


def packed(*words: bytes) -> bytes:
    """Return a command as it is sent."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def commands_of(server: PrivateServer, call: Callable[[], object]) -> Iterator[list[bytes]]:
    """Yield the commands that scripts send to the server during a call, as MONITOR shows them."""
    with server.client() as client:
        watching: Any = client.connection_pool.get_connection()
        try:
            watching.send_command("MONITOR")
            watching.read_response()
            call()
            client.ping()
            while b'"PING"' not in (line := _bytes(watching.read_response())):
                if b" lua]" in line:
                    yield [ast.literal_eval(f"b{word.decode('latin-1')}") for word in re.findall(rb'"(?:[^"\\]|\\.)*"', line)]
        finally:
            watching.disconnect()


def _bytes(line: bytes | str) -> bytes:
    return line if isinstance(line, bytes) else line.encode("latin-1")


def script_of(commands: Sequence[Sequence[bytes]]) -> tuple[str, list[bytes]]:
    """Return a script that sends these commands and does nothing else, and its arguments."""
    lines, arguments = [], list[bytes]()
    for command in commands:
        words = [f"ARGV[{len(arguments) + number + 1}]" for number in range(len(command))]
        lines.append(f"redis.call({', '.join(words)})")
        arguments += command
    return "\n".join(lines), arguments
