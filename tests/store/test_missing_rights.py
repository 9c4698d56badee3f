"""A right that the server's user does not have while a script runs: the caller is told which, nothing is set aside, and nothing is lost."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from flowq import ids
from flowq.exceptions import ServerError
from flowq.store import Store
from flowq.store.jobs import NewJob
from flowq.store.schema.records import Registration
from flowq.store.schema.rights import ServerRole, commands_of_scripts
from tests.support import graphs, invariants
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

T = TypeVar("T")
USER = f"flowq-{ServerRole.WORKER}"
COMMANDS = (
    "zpopmin",
    "zrem",
    "hset",
    "hget",
    "hgetall",
    "lrange",
    "del",
    "get",
    "set",
    "zscore",
    "zrangebyscore",
    "zcard",
    "zrange",
    "hmget",
    "pexpire",
)
"""Those without which a script fails before it has changed half of what belongs together."""

WITHOUT_NAME = "does not allow this user what flowq needs: The user executing the script can't run this command"


@pytest.fixture(scope="module")
def limited() -> Iterator[PrivateServer]:
    server = PrivateServer().start()
    server.restrict(ServerRole.WORKER, "flowq-test")
    yield server
    server.stop()


def allow(server: PrivateServer, rule: str) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", USER, rule)


def test_a_worker_without_a_right_does_not_begin(limited: PrivateServer) -> None:
    """As after an upgrade to a flowq that needs more."""
    limited.client().flushall()
    store = Store(limited.user_client(), "flowq-test").open()
    worker = Registration("w", ("default",), "here", 1, nonce="n")
    wanted = commands_of_scripts()
    for name in wanted:
        allow(limited, f"-{name}")
        with pytest.raises(ServerError) as error:
            store.workers.register(worker)
        allow(limited, f"+{name}")
        if name not in {"time", "exists", "hmget"}:  # without those not even the check of the data, and of the rights, is made
            assert f"does not allow this user what a worker needs ({name}): `flowq acl worker` prints all rights" in str(
                error.value
            )
    assert store.client.exists(store.session.keys("workers")) == 0
    assert store.workers.register(worker) is None


@pytest.mark.parametrize("name", COMMANDS)
def test_a_right_that_is_taken_away_and_given_back(limited: PrivateServer, name: str) -> None:
    limited.client().flushall()
    old = str(limited.client().info("server")["redis_version"]).startswith("7.0.")
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
    assert all(f"no permissions to run the '{name}' command" in text or (old and WITHOUT_NAME in text) for text in told)
    assert told
    invariants.check(store)
    assert store.workers.all_set_aside() == {}
