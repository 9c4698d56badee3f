"""One client on one namespace: calls scripts, translates errors, notices when the data was replaced.

redis-py is set not to retry (see `flowq.connections.clients`): a transition may be sent again after a lost reply only because it is
idempotent, and that decision is made here, once, for every call.
"""

import logging
import re
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from types import FunctionType
from typing import Any, Final

import redis

from flowq import ids
from flowq.exceptions import DataLostError, SchemaVersionError, ServerUnavailableError
from flowq.store.client.direct_calls import DirectCalls
from flowq.store.client.errors import Translated
from flowq.store.client.scripts import Script, flatten, function_name, library_text, load
from flowq.store.schema.keys import Keys

SCHEMA: Final = "2"
_ATTEMPTS: Final = 3  # sends of one call: a reply may be lost twice in a row
_REPEATED_WITHIN: Final = 5.0  # s from the first one; a server that has not answered for longer, as one that is stopped, does not answer the next one either
_TO_SPARE: Final = 8  # connections of a pool from which one can be kept
_KEYS_PER_STEP: Final = 500  # that one step of a migration looks at: about 10 ms

_NO_FUNCTION: Final = re.compile(r"^(?:ERR )?Function not found")
_NO_FUNCTIONS: Final = re.compile(r"unknown command ['`]?FCALL|no permissions to run the 'fcall'", re.IGNORECASE)

# What a program that observes redis-py has replaced must see every call.
_EXECUTE: Final = redis.Redis.execute_command
_IS_PLAIN: Final = isinstance(_EXECUTE, FunctionType) and _EXECUTE.__module__ == redis.Redis.__module__

_log = logging.getLogger(__name__)
_LONGEST_WAIT: Final = 3.0  # s of one blocking call: well below a connection's time-out
_SHORTEST_WAIT: Final = 0.001  # s: 0 would block without an end


class Session:
    """A connection pool, a namespace and its incarnation.

    Args:
        client: a redis-py client with `decode_responses=False`.
        namespace: the hash tag of all keys.
        follow: when the data was replaced (server restarted empty, flushed), take the new incarnation and go on (producers, the
            command line); else raise `DataLostError` (workers, which must not act on replaced data).
    """

    functions = True
    """Whether transitions are called as functions of a library; False where the server refuses that, see `prepare`."""

    def __init__(self, client: "redis.Redis", namespace: str, *, follow: bool = True) -> None:
        self._client: Any = client  # redis-py annotates its replies for all its modes at once, which does not help here
        self.keys = Keys(namespace)
        self.follow = follow
        self.incarnation = ""
        self.refusal = ""  # why the server refuses changes, where this session can only read
        self.translated = Translated(_address(client))

    @property
    def client(self) -> Any:
        """The client, for reading; the data has the schema of this version."""
        if not self.incarnation:
            self.open_to_read()
        return self._client

    def open_to_read(self) -> None:
        """Open; where the server answers but refuses changes (its disk is full, it is a replica), what is there can be read all the same.

        Raises:
            SchemaVersionError, DataLostError, ServerError: as `open`, where nothing is there to be read either.
        """
        try:
            self.open()
            self.refusal = ""
        except ServerUnavailableError as error:
            if not isinstance(error.__cause__, redis.exceptions.ResponseError):
                raise
            with self.translated:
                schema, migrating = self._client.hmget(self.keys("meta"), "schema", "migration")
            if schema != SCHEMA.encode() or migrating:
                raise
            self.refusal = str(error)

    def open(self) -> None:
        """Check the schema and learn the incarnation; found both on a fresh server, and migrate data of the schema before.

        Raises:
            SchemaVersionError: the data was written with another schema.
            DataLostError: the data was replaced while it was migrated.
            ServerError: the server cannot be used.
        """
        found, incarnation, _, migrating = self._send(self._load("namespace/open"), [SCHEMA, ids.nonce()])
        schema = "none" if found is None else found.decode()
        if schema != SCHEMA:
            remedy = "a newer flowq wrote it: upgrade this one" if _is_newer(schema) else "use the flowq version that wrote it"
            raise SchemaVersionError(
                f"the data of namespace {self.keys.namespace!r} has schema {schema}, this flowq works with schema {SCHEMA}:"
                f" {remedy}, or use another namespace"
            )
        if migrating:
            self._migrate(incarnation.decode())
        self.incarnation = incarnation.decode()

    def _migrate(self, incarnation: str) -> None:
        """Bring the records to the schema of this version, together with other clients that do the same."""
        _log.info("the data of namespace %r is migrated to schema %s", self.keys.namespace, SCHEMA)
        more = 1
        while more:
            _, more = self._send(self._load("namespace/migrate"), [str(_KEYS_PER_STEP)], incarnation)
        _log.info("the data of namespace %r has schema %s now", self.keys.namespace, SCHEMA)

    def run(self, name: str, *arguments: object) -> Any:
        """Call a script and return its raw reply.

        Raises:
            DataLostError: the data was replaced and this session does not follow.
            ServerError: the server cannot be used.
        """
        return self.run_flat(name, flatten(arguments))

    def run_flat(self, name: str, flat: list[str | bytes]) -> Any:
        """Call a script, likewise, with arguments that are flat texts already."""
        if not self.incarnation:
            self.open()
        script = self._load(name)
        try:
            return self._send(script, flat)
        except DataLostError:
            if not self.follow:
                raise
            self.open()
            return self._send(script, flat)

    def put_into(self, pipeline: Any, name: str, calls: Iterable[Sequence[object]]) -> None:
        """Add calls of a script to a pipeline of the user's, one for each list of arguments; their replies are among those of its `execute`.

        Nothing can be repeated there, so the incarnation is read now: the server may have been flushed since the last call.
        """
        if self.follow or not self.incarnation:
            self.open()
        for arguments in calls:
            pipeline.execute_command(
                "EVAL", self._load(name).text, "1", self.keys("meta"), self.incarnation, *flatten(arguments)
            )

    def _load(self, name: str) -> Script:
        return load(name, bare=self.may_be_stand_in)

    @cached_property
    def may_be_stand_in(self) -> bool:
        """Whether the server may be a stand-in in the memory of this process, such as fakeredis: connections are not redis-py's."""
        return self._client.connection_pool.connection_class.__module__.partition(".")[0] not in {"redis", "flowq"}

    def _send(self, script: Script, flat: list[str | bytes], incarnation: str | None = None) -> Any:
        """Send, and once more when the reply was lost: every transition gives the same answer the second time."""
        begun = time.monotonic()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.translated:
                    return self._evaluate(script, flat, incarnation)
            except ServerUnavailableError:
                if attempt == _ATTEMPTS or time.monotonic() - begun > _REPEATED_WITHIN:
                    raise
        raise AssertionError("unreachable")

    def _evaluate(self, script: Script, flat: list[str | bytes], incarnation: str | None = None) -> Any:
        tail = ("1", self.keys("meta"), self.incarnation if incarnation is None else incarnation, *flat)
        try:
            return self._call(script, tail)
        except redis.exceptions.ResponseError as error:
            if str(error).startswith("FLOWQGONE"):
                raise data_lost(self.keys.namespace, str(error)) from error
            raise

    def _execute(self, *command: str | bytes) -> Any:
        return (self._direct if self._is_direct else self._client).execute_command(*command)

    @property
    def _is_direct(self) -> bool:
        """Whether commands can be sent over a connection of the pool without the client: it takes twice as long for each, to retry and to measure."""
        replaced = type(self._client).execute_command is not _EXECUTE or "execute_command" in vars(self._client)
        return self._has_plain_pool and not replaced

    @property
    def can_spare_connection(self) -> bool:
        """Whether a connection of the pool can be used for more than one call: without the client, and others are left for calls meanwhile."""
        return self._is_direct and self._client.connection_pool.max_connections >= _TO_SPARE

    @cached_property
    def _direct(self) -> DirectCalls:
        return DirectCalls(self._client)

    @cached_property
    def _has_plain_pool(self) -> bool:
        pool = self._client.connection_pool
        own = self._client.connection is not None
        cached = getattr(pool, "cache", None) is not None
        return _IS_PLAIN and not (self.may_be_stand_in or own or cached) and isinstance(pool, redis.ConnectionPool)

    def _call(self, script: Script, tail: tuple[str | bytes, ...], again: int = 2) -> Any:
        try:
            return self._execute(*self.command(script), *tail)
        except redis.exceptions.NoScriptError:
            return self._client.execute_command("EVAL", script.text, *tail)
        except redis.exceptions.ResponseError as error:
            if not again or not self.prepare(str(error)):
                raise
        return self._call(script, tail, again - 1)

    def command(self, script: Script) -> tuple[str, str]:
        """Return the first words of the call of a transition; keys and arguments follow."""
        return ("FCALL", function_name(script.name)) if self.functions else ("EVALSHA", script.sha)

    def prepare(self, answer: str) -> bool:
        """React to an error that a call answered; return whether the call is to be repeated.

        The library is loaded where it is missing. A server or a user's rights without functions: scripts are sent from then on.
        """
        if not self.functions:
            return False
        if _NO_FUNCTION.search(answer):
            try:
                self._client.execute_command("FUNCTION", "LOAD", library_text())
            except redis.exceptions.ResponseError as error:
                if "already exists" not in str(error):  # another client was faster
                    self.functions = False
            return True
        if _NO_FUNCTIONS.search(answer):
            self.functions = False
            return True
        return False

    def bounded_wait(self, timeout: float) -> float:
        """Return how many seconds one call may block in the server, of those that the caller wants to wait.

        They are fewer than the client waits for a reply: a server that has no entry must not be mistaken for one that is unreachable.
        """
        patience = self.client.connection_pool.connection_kwargs.get("socket_timeout")
        longest = _LONGEST_WAIT if patience is None else min(_LONGEST_WAIT, patience / 2)
        return max(_SHORTEST_WAIT, min(timeout, longest))

    def wait_for(self, keys: Sequence[str], timeout: float) -> None:
        """Block until one of the lists has an entry, which is taken, or `timeout` seconds have passed; it may return earlier."""
        with self.translated:
            self.client.blpop(list(keys), timeout=self.bounded_wait(timeout))

    def now_ms(self) -> int:
        """Return the server's clock in milliseconds."""
        with self.translated:
            seconds, micros = self._client.time()
        return int(seconds) * 1000 + int(micros) // 1000


def _address(client: "redis.Redis") -> str:
    settings = client.connection_pool.connection_kwargs
    if settings.get("path"):
        return f"the server at {settings['path']}"
    if not settings.get("host"):  # a Sentinel or a cluster says where it is
        return "the server"
    return f"the server at {settings['host']}:{settings.get('port', 6379)}"


def _is_newer(schema: str) -> bool:
    return schema.isdecimal() and int(schema) > int(SCHEMA)


def data_lost(namespace: str, answer: str) -> DataLostError:
    """Return the error for data that was replaced under a running process. `answer` is that of lib/incarnation."""
    schema = re.match(r"FLOWQGONE (\S+)", answer)
    if schema is not None and _is_newer(schema[1]):
        return DataLostError(
            f"the data of namespace {namespace!r} was taken over by a newer flowq: it has schema {schema[1]} now,"
            f" this flowq works with schema {SCHEMA}: upgrade flowq here too, and start again"
        )
    return DataLostError(
        f"the data of namespace {namespace!r} is gone: the server was restarted empty or flushed;"
        " runs and jobs of before have to be submitted again"
    )
