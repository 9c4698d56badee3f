"""Loaded by each interpreter of a client's tests: their server is the private one, and `import rq` gives flowq if that is tried.

The tests of most packages expect a server at localhost:6379. A developer's own server may be there: connections to that address go to
the socket in `CLIENTS_SOCKET`.
"""

import os
import socket
from typing import Any

import redis.connection

_SOCKET = os.environ.get("CLIENTS_SOCKET", "")
_connect: Any = redis.connection.Connection._connect


def _redirected(connection: Any) -> Any:
    if connection.host not in {"localhost", "127.0.0.1"} or int(connection.port) != 6379:
        return _connect(connection)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(connection.socket_connect_timeout)
    stream.connect(_SOCKET)
    stream.settimeout(connection.socket_timeout)
    return stream


if _SOCKET:
    redis.connection.Connection._connect = _redirected  # type: ignore[method-assign]

if os.environ.get("FLOWQ_COMPAT"):
    import flowq.compat

    flowq.compat.install()
