"""A right that the server's user does not have while a script runs: the caller is told which, nothing is set aside, and nothing is lost."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from flowq import ids
from flowq.exceptions import ServerError
from flowq.store import Store
from flowq.store.jobs import NewJob
from flowq.store.schema.rights import ServerRole
from tests.support import graphs, invariants
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

T = TypeVar("T")
USER = f"flowq-{ServerRole.WORKER}"
COMMANDS = ("zpopmin", "zrem", "hset", "hget", "hgetall", "lrange", "del", "get", "set", "zscore", "zrangebyscore", "zcard")
"""Those without which a script fails before it has changed half of what belongs together."""


@pytest.fixture(scope="module")
def limited() -> Iterator[PrivateServer]:
    server = PrivateServer().start()
    server.restrict(ServerRole.WORKER, "flowq-test")
    yield server
    server.stop()


def allow(server: PrivateServer, rule: str) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", USER, rule)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_right_that_is_taken_away_and_given_back(limited: PrivateServer, name: str) -> None:
    limited.client().flushall()
    store = Store(limited.user_client(), "flowq-test").open()
    run = graphs.run(store, {"a": [], "b": ["a"], "c": ["b"], "d": ["a", "b"]})
    store.jobs.create(NewJob("plain", "default", b"", ids.nonce(), fields={"retry": "1|0|0|0"}))
    store.jobs.create(NewJob("limited", "default", b"", ids.nonce(), fields={"semaphores": "1 job/red"}))
    driver = Driver(store)
    told: list[str] = []

    def call(deal: Callable[..., T], *arguments: object) -> T:
        """Make a call without the right; when it is refused, with it."""
        allow(limited, f"-{name}")
        try:
            return deal(*arguments)
        except ServerError as error:
            told.append(str(error))
        finally:
            allow(limited, f"+{name}")
        return deal(*arguments)

    driver.settle()
    while (claim := call(driver.claim_again)) is not None:
        call(driver.end, claim)
        call(driver.tick)
        driver.settle()
    driver.close()
    assert store.runs.require(run).status == "finished"
    assert {str(record.status) for record in store.jobs.get_many(["plain", "limited"]) if record} == {"finished"}
    assert all(f"no permissions to run the '{name}' command" in text for text in told)
    assert told
    invariants.check(store)
    assert store.workers.all_set_aside() == {}
