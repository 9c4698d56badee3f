"""A minimal Redis client over a unix socket (PING, INFO), light enough for the watchdog."""

import socket
import sys

_CREDENTIALS = 12  # bytes: process, user and group
ALIVE = "alive"
LOADING = "loading"  # answers, but is still loading its data
SILENT = "silent"  # accepts connections but does not answer: stopped, swapped out or very busy
ABSENT = "absent"  # no server listens


def ping(path: str, timeout: float = 1.0) -> str:
    """Return the state of the server at this socket: ALIVE, LOADING, SILENT or ABSENT. `timeout` in seconds.

    An error reply counts as ALIVE: with a full disk even PING is refused (`-MISCONF`).
    """
    try:
        reply = request(path, "PING", timeout=timeout)
    except (TimeoutError, BlockingIOError):  # the latter: its queue of new connections is full
        return SILENT
    except OSError:
        return ABSENT
    return LOADING if reply.startswith(b"-LOADING") else ALIVE


def info(path: str, timeout: float = 2.0) -> dict[str, str]:
    """Return the server's `INFO`; empty if it does not answer or refuses."""
    try:
        reply = request(path, "INFO", timeout=timeout)
    except OSError:
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith(("#", "-")))


def server_pid(path: str, timeout: float = 2.0) -> int:
    """Return the id of the server's process at this socket in this pid namespace; 0 if it does not answer or is in another one.

    The kernel tells. What the server says itself (`INFO`) is its id where it runs, and in another container that is of another process.
    """
    if not hasattr(socket, "SO_PEERCRED"):  # macOS has no namespaces
        return int(info(path, timeout).get("process_id", 0))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS)
    except OSError:
        return 0
    return int.from_bytes(credentials[:4], sys.byteorder)


def request(path: str, *words: str, timeout: float) -> bytes:
    """Send one command and return its reply: a status or error line with its type byte, or the content of a bulk string.

    Raises:
        TimeoutError: no complete reply came in time (a subclass of OSError).
        OSError: the connection failed or broke.
    """
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(command.encode())
        buffer = b""
        while b"\r\n" not in buffer:
            buffer += _more(connection)
        line, _, rest = buffer.partition(b"\r\n")
        if not line.startswith(b"$"):
            return line
        size = int(line[1:])
        while len(rest) < size:
            rest += _more(connection)
        return rest[: max(size, 0)]


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError("the server closed the connection")
    return data
