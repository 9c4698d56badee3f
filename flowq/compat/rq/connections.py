"""`rq.connections`: what a connection is made of."""

from typing import Any


class NoRedisConnectionException(Exception):
    """No connection was given where RQ needs one. flowq does not raise it: it uses the configured server."""


def get_connection_kwargs(connection: Any) -> dict[str, Any]:
    """Return the keyword arguments that make a connection like this one."""
    return dict(connection.connection_pool.connection_kwargs)


def parse_connection(connection: Any) -> tuple[type[Any], type[Any], dict[str, Any]]:
    """Return the class of a client, that of its connections, and the keyword arguments of those."""
    return type(connection), connection.connection_pool.connection_class, get_connection_kwargs(connection)
