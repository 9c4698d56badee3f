"""Errors of a real server: their translation to one sentence, and to a class that says whether waiting helps."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from flowq.exceptions import ServerError, ServerUnavailableError
from flowq.store.client.errors import Translated, translate
from tests.support.server import PrivateServer
from tests.support.wait import until


@pytest.fixture(scope="module")
def odd() -> Iterator[PrivateServer]:
    """A server that the tests put into odd states; each test restores it."""
    private = PrivateServer().start()
    yield private
    private.stop()


def told(request: str, client: Any, *arguments: str | int) -> BaseException:
    """Return the translated error of a request."""
    with pytest.raises(ServerError) as caught, Translated("S"):
        client.execute_command(request, *arguments)
    assert isinstance(caught.value.__cause__, redis.RedisError)
    return caught.value


def test_other_exceptions_are_not_translated() -> None:
    error = KeyError("x")
    assert translate(error) is error
    with pytest.raises(KeyError), Translated():
        raise error


def test_a_missing_script_is_left_to_the_loader(odd: PrivateServer) -> None:
    with pytest.raises(redis.exceptions.NoScriptError), Translated():
        odd.client().evalsha("0" * 40, 0)


def test_a_missing_right(odd: PrivateServer) -> None:
    odd.client().acl_setuser("bob", enabled=True, passwords=["+p"], keys=["f*"], commands=["+ping"])
    error = told("GET", odd.client(username="bob", password="p"), "x")
    assert str(error) == "S does not allow this user what flowq needs: User bob has no permissions to run the 'get' command"
    assert not isinstance(error, ServerUnavailableError)


@pytest.mark.parametrize("request_", [("SET", "a", "x"), ("EVAL", "redis.call('set','a','x')", 0)], ids=["command", "script"])
def test_memory_is_full(odd: PrivateServer, request_: tuple[str, ...]) -> None:
    client = odd.client()
    client.config_set("maxmemory", 1)
    try:
        error = told(request_[0], client, *request_[1:])
    finally:
        client.config_set("maxmemory", 0)
    assert str(error) == "S has reached its maxmemory and refuses new data: raise maxmemory, or delete runs and results"
    assert not isinstance(error, ServerUnavailableError)


@pytest.mark.parametrize("request_", [("SET", "a", "x"), ("EVAL", "redis.call('set','a','x')", 0)], ids=["command", "script"])
def test_a_replica(odd: PrivateServer, request_: tuple[str, ...]) -> None:
    client = odd.client()
    client.replicaof("127.0.0.1", 1)
    try:
        error = told(request_[0], client, *request_[1:])
        client.config_set("replica-serve-stale-data", "no")
        lost = told("GET", client, "a")
    finally:
        client.config_set("replica-serve-stale-data", "yes")
        client.replicaof("NO", "ONE")
    assert isinstance(error, ServerUnavailableError), "a fail-over ends by itself"
    assert str(error).startswith("S is a read-only replica: use the address of the primary")
    assert isinstance(lost, ServerUnavailableError)
    assert str(lost).startswith("S is a replica that has lost its primary")


def test_a_long_script(odd: PrivateServer) -> None:
    """While a script runs for too long, other clients get BUSY."""
    client, hog = odd.client(), odd.client()
    client.config_set("busy-reply-threshold", 1)
    connection: Any = hog.connection_pool.get_connection()
    connection.send_command("EVAL", "while true do end", 0)
    try:
        error = until(lambda: _error_with(odd.client(), "busy"))
    finally:
        until(lambda: _killed(client))
        connection.disconnect()
        client.config_set("busy-reply-threshold", 5000)
    assert isinstance(error, ServerUnavailableError)
    assert str(error) == "S is busy with a long script: try again in a moment"


def _error_with(client: redis.Redis, text: str) -> BaseException | None:
    """Return the error of a PING if it contains the text."""
    try:
        with Translated("S"):
            client.ping()
    except ServerError as error:
        return error if text in str(error) else None
    return None


def _killed(client: redis.Redis) -> bool:
    """Kill the running script; return whether none runs any more."""
    try:
        client.script_kill()
    except redis.exceptions.ResponseError as error:
        return "No scripts in execution" in str(error)
    return False


def test_loading() -> None:
    """A server that loads its data answers all requests with LOADING."""
    private = PrivateServer().start("--key-load-delay", "500", appendonly=True)
    try:
        with private.client() as client, client.pipeline() as pipeline:
            for number in range(20_000):  # 10 s to load; the server reads its connections once in 1024 commands
                pipeline.set(str(number), "x")
            pipeline.execute()
        private.kill9()
        private.restart(wait=False)
        error = until(lambda: _error_with(private.client(), "loading"))
    finally:
        private.stop()
    assert isinstance(error, ServerUnavailableError)
    assert str(error) == "S is still loading its data: try again in a moment"


def test_no_connection_is_left(odd: PrivateServer) -> None:
    client = odd.client()
    client.config_set("maxclients", 1)
    try:
        error = until(
            lambda: _error_with(odd.client(), "connection left")
        )  # it may close the connection before its answer is read
    finally:
        client.config_set("maxclients", 1000)
    assert isinstance(error, ServerUnavailableError)
    assert str(error) == "S has no connection left: raise its maxclients, or stop idle workers"


def test_a_key_of_another_type(odd: PrivateServer) -> None:
    client = odd.client()
    client.set("text", "x")
    assert str(told("LPUSH", client, "text", "x")).startswith(
        "a key of this namespace on S holds something that flowq did not write"
    )


def test_a_wrong_request(odd: PrivateServer) -> None:
    error = told("EVAL", odd.client(), "error('x')", 0)
    assert str(error) == "S refused a request: user_script:1: x"
    assert type(error) is ServerError


def test_the_raw_text_of_an_error_is_translated_too() -> None:
    """A worker's own connection gets errors from hiredis, with the code in the text."""
    for text, kind in (
        ("READONLY You can't write against a read only replica.", ServerUnavailableError),
        ("MISCONF Errors writing to the AOF file: No space left on device", ServerUnavailableError),
        ("OOM command not allowed when used memory > 'maxmemory'.", ServerError),
        ("NOAUTH Authentication required.", ServerError),
        ("CLUSTERDOWN Hash slot not served", ServerUnavailableError),
        ("UNBLOCKED force unblock from blocking operation, instance state changed", ServerUnavailableError),
    ):
        assert type(translate(redis.exceptions.ResponseError(text))) is kind, text
