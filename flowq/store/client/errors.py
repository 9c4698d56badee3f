"""Translation of the client library's errors to flowq's own: one sentence each, and a class that says whether waiting helps.

`ServerUnavailableError` means that the same request may succeed later: the server is down, restarting, loading, being replaced,
or out of disk. A caller that can wait sends the same request again; every transition allows that. Any other `ServerError` needs a
person: a wrong password, a missing right, no memory left, something that is not a Redis.

Two errors are not translated, because the script loader handles them and they never reach a user:
`NoScriptError` (the loader sends the script's text) and errors that a script of ours raises on purpose.
"""

import re
from types import TracebackType
from typing import Final, Literal, Self

from redis import exceptions as client

from flowq.exceptions import ServerError, ServerUnavailableError, UsageError

_CODES_OF_CLASSES: Final[tuple[tuple[type[Exception], str], ...]] = (
    # redis-py strips the code of the answers it has classes for. Subclasses come before their bases.
    (client.BusyLoadingError, "LOADING"),
    (client.MaxConnectionsError, "POOL"),
    (client.AuthenticationWrongNumberOfArgsError, "WRONGPASS"),
    (client.AuthenticationError, "WRONGPASS"),
    (client.AuthorizationError, "NOPERM"),
    (client.NoPermissionError, "NOPERM"),
    (client.OutOfMemoryError, "OOM"),
    (client.ReadOnlyError, "READONLY"),
    (client.MasterDownError, "MASTERDOWN"),
    (client.ClusterDownError, "CLUSTERDOWN"),
    (client.TryAgainError, "TRYAGAIN"),
    (client.MovedError, "MOVED"),
    (client.AskError, "ASK"),
    (client.InvalidResponse, "PROTOCOL"),
)

_WAITING_HELPS: Final = {
    "LOADING": "{server} is still loading its data: try again in a moment",
    "BUSY": "{server} is busy with a long script: try again in a moment",
    "MISCONF": "{server} cannot write its data to disk and refuses changes: make room on its disk: it recovers by itself ({detail})",
    "READONLY": "{server} is a read-only replica: use the address of the primary, or wait for the fail-over to end",
    "MASTERDOWN": "{server} is a replica that has lost its primary: wait for the fail-over to end, or use the primary's address",
    "CLUSTERDOWN": "{server} is part of a cluster that is down: wait for it to come back ({detail})",
    "TRYAGAIN": "{server} is moving the keys of this namespace to another node: try again in a moment",
    "UNBLOCKED": "{server} has just become a replica: wait for the fail-over to end",
    "NOREPLICAS": "{server} has too few replicas to accept a change: wait for them, or lower its min-replicas-to-write",
    "POOL": "all connections of this process to {server} are in use",
}

_WAITING_DOES_NOT_HELP: Final = {
    "WRONGPASS": "{server} refused the user name or password: correct them in the URL (redis://user:password@host:port)",
    "NOAUTH": "{server} asks for a password: put it into the URL (redis://:password@host:port)",
    "NOPERM": "{server} does not allow this user what flowq needs: {detail}",
    "OOM": "{server} has reached its maxmemory and refuses new data: raise maxmemory, or delete runs and results",
    "MOVED": "{server} is one node of a cluster: use a redis+cluster:// URL",
    "ASK": "{server} is one node of a cluster: use a redis+cluster:// URL",
    "PROTOCOL": "{server} does not speak the Redis protocol: is the address that of another service?",
    "WRONGTYPE": "a key of this namespace on {server} holds something that flowq did not write: use another namespace ({detail})",
    "DENIED": "{server} runs in protected mode and refuses connections from other hosts: give it a password or bind address",
}

_SECURED: Final = "rediss"  # the beginning of a URL with TLS, in the name of a server
_PLAIN: Final = "redis://"
_DOES_IT: Final = (
    "if it does not speak TLS, its URL begins with redis://",
    "if it speaks TLS, its URL begins with rediss://",
)

_TRANSLATED: Final = (client.RedisError, client.RedisClusterException, OSError)

_CODE = re.compile(r"([A-Z]{2,}) ")
_SCRIPT = re.compile(r",? script: (?:\w+, )?on @.*$")  # the place in a script, which the server appends to the text
_DENIED = "ACL failure in script: "  # what the text of a missing right begins with that a script would have needed
_DENIED_7_0 = "The user executing the script can't "  # likewise of Redis 7.0, which does not say what


def translate(error: BaseException, server: str = "the server", *, opening: bool = False) -> BaseException:
    """Return the flowq error that says in one sentence what the client library's error means.

    Args:
        error: what was caught.
        server: the name of the server in the sentence, such as "the server at redis://db:6379"; no passwords.
        opening: this client has not reached the server before, so its URL may be wrong.

    Returns:
        A `ServerError` to raise `from error`, a `UsageError` for a text that cannot be sent; `error` itself when it is none of the server's or the connection's, or is a
        `NoScriptError`.
    """
    if isinstance(error, UnicodeEncodeError):
        text = error.object
        if all(character < "\ud800" or "\udc80" <= character <= "\udcff" for character in text[error.start : error.end]):
            return UsageError(
                f"{text[:200]!r} cannot be stored: its bytes are not UTF-8; rename the file or directory, or correct the text"
            )
        return UsageError(f"{text[:100]!r} cannot be stored: it has half a character (a lone surrogate)")
    if isinstance(error, client.NoScriptError) or not isinstance(error, _TRANSLATED):
        return error
    code, detail = _code(error), _one_line(error)
    if code in _WAITING_HELPS:
        return ServerUnavailableError(_WAITING_HELPS[code].format(server=server, detail=detail))
    if code in _WAITING_DOES_NOT_HELP:
        return ServerError(_WAITING_DOES_NOT_HELP[code].format(server=server, detail=detail))
    if "max number of clients" in detail:
        return ServerUnavailableError(f"{server} has no connection left: raise its maxclients, or stop idle workers")
    if isinstance(error, (client.TimeoutError, TimeoutError)):
        doubt = f"; {_DOES_IT[0]}" if opening and _SECURED in server else ""
        return ServerUnavailableError(f"{server} did not answer in time{doubt}")
    if isinstance(error, (client.ConnectionError, OSError)):
        doubt = _about_tls(error, server) if opening else ""
        return ServerUnavailableError(f"{server} cannot be reached: {_network(error, detail)}{doubt}")
    return ServerError(f"{server} refused a request: {detail}")


class Translated:
    """A `with` block in which the client library's errors come out as flowq's.

    One instance may be used again and by several callers: it keeps nothing of them.

        translated = Translated("the server at redis://db:6379")
        with translated:
            client.ping()
    """

    __slots__ = ("_opening", "server")

    def __init__(self, server: str = "the server", *, opening: bool = False) -> None:
        self.server = server
        self._opening = opening

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> Literal[False]:
        if error is not None:
            translated = translate(error, self.server, opening=self._opening)
            if translated is not error:
                raise translated from error
        return False


def _code(error: BaseException) -> str:
    """Return the upper-case word that a Redis error starts with, or one of ours for what has none."""
    for kind, code in _CODES_OF_CLASSES:
        if isinstance(error, kind):
            return _password_code(str(error)) if code == "WRONGPASS" else code
    if isinstance(error, client.ResponseError) and str(error).removeprefix("ERR ").startswith((_DENIED, _DENIED_7_0)):
        return "NOPERM"
    if isinstance(error, client.ResponseError):
        match = _CODE.match(str(error))
        return match[1] if match else ""
    return "DENIED" if "protected mode" in str(error) else ""


def _password_code(text: str) -> str:
    """Distinguish "no password given" from "wrong password"; the client library has one class for both."""
    return "NOAUTH" if "Authentication required" in text else "WRONGPASS"


def _one_line(error: BaseException) -> str:
    """Return the error's text without the parts that redis-py and Lua append."""
    text = _SCRIPT.sub("", " ".join(str(error).split())).removeprefix("ERR ").removeprefix(_DENIED) or type(error).__name__
    match = _CODE.match(text)
    return text.removeprefix(match[0] if match else "").rstrip(".")


def _network(error: BaseException, detail: str) -> str:
    """Return why a connection failed, in the system's words: the chain's last OSError knows more than redis-py's own text."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return _lower_first(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return _lower_first(detail)


def _about_tls(error: BaseException, server: str) -> str:
    """Return what may be wrong with the security of a connection that failed, if anything points to it."""
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if any("unable to get" in str(item) or "self-signed" in str(item) for item in chain):
        return "; for an authority of your own add ?ssl_ca_certs=/path/to/its.crt to the URL"
    cut = any(isinstance(item, ConnectionResetError) or "closed by server" in str(item) for item in chain)
    return f"; {_DOES_IT[1]}" if cut and _PLAIN in server else ""


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
