"""Transitions as functions of a library of the server, and as scripts where a server or a user's rights have none."""

import re
from collections import Counter
from typing import Any

import pytest
import redis

from flowq import ids
from flowq.exceptions import ServerError
from flowq.flows.actions.submit import submit
from flowq.store import Store
from flowq.store.client import scripts
from flowq.store.client.pipelining import run_ahead
from flowq.store.client.session import Session
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from tests.support.graphs import plan
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

FILES = sorted(scripts._names())


@pytest.fixture(autouse=True)
def _with_functions(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--without-functions"):
        pytest.skip("the server has no functions")


@pytest.fixture(params=[True, False], ids=["functions", "scripts"])
def functions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    wanted: bool = request.param
    monkeypatch.setattr(Session, "functions", wanted)
    return wanted


def create(store: Store, job: str) -> Outcome:
    return store.jobs.create(NewJob(job, "default", b"payload", ids.nonce()))[0]


def calls(client: redis.Redis, command: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def flush(client: Any) -> None:
    client.execute_command("FUNCTION", "FLUSH")


def libraries(client: Any) -> list[object]:
    found: list[object] = client.execute_command("FUNCTION", "LIST")
    return found


def user(server: PrivateServer, *rights: str) -> redis.Redis:
    """Return a client of a user that has the rights of docs/server.md, without the ones of functions, and `rights`."""
    usual = ["+@read", "+@write", "+@connection", "+eval", "+evalsha", "+time", "-fcall", "-@dangerous", "+cluster|slots"]
    server.client().acl_setuser("limited", enabled=True, reset=True, passwords=["+p"], keys=["*"], commands=[*usual, *rights])
    return server.client(username="limited", password="p")


# -- the library


def test_a_client_loads_the_library_where_it_is_missing(store: Store, driver: Driver) -> None:
    for _ in range(2):
        flush(store.client)
        before = calls(store.client, "function|load")
        assert create(store, ids.nonce()) is Outcome.DONE
        assert create(store, ids.nonce()) is Outcome.DONE
        assert calls(store.client, "function|load") == before + 1


def test_a_worker_loads_the_library_where_it_is_missing(store: Store, driver: Driver) -> None:
    create(store, "a")
    flush(store.client)
    claim = driver.take()
    flush(store.client)
    assert driver.end(claim) is Outcome.DONE


def test_calls_that_are_sent_ahead_survive_the_loss_of_the_library(store: Store) -> None:
    create(store, "a")
    calls = [[f"j{number}", b"meta"] for number in range(20)]
    replies = []
    for reply in run_ahead(store.session, "job/save_meta", calls):
        replies.append(reply)
        if len(replies) in {1, 5}:
            flush(store.client)
    assert len(replies) == 20


def test_calls_are_not_sent_ahead_over_the_only_connection(store: Store) -> None:
    """Who takes the replies makes calls of its own in between."""
    create(store, "a")
    settings = store.client.connection_pool
    pool = redis.ConnectionPool(settings.connection_class, max_connections=1, **settings.connection_kwargs)
    few = Store(redis.Redis(connection_pool=pool), store.namespace).open()
    replies = [few.client.ping() for _ in run_ahead(few.session, "job/save_meta", [["a", b"meta"]] * 3)]
    assert replies == [True] * 3
    few.close()


def test_a_library_of_another_version_is_left_alone(store: Store) -> None:
    other = "#!lua name=flowq_0123456789abcdef\nredis.register_function('flowq_0123456789abcdef_job_create', function() return 1 end)"
    client: Any = store.client
    client.execute_command("FUNCTION", "LOAD", "REPLACE", other)
    create(store, "a")
    assert client.execute_command("FCALL", "flowq_0123456789abcdef_job_create", 0) == 1


def test_the_name_of_the_library_changes_with_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    names = set()
    for extra in ("", "-- a change\n"):
        scripts.library_name.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(scripts, "_text", lambda name, text=scripts._text, extra=extra: text(name) + extra)
            names.add(scripts.library_name())
    scripts.library_name.cache_clear()
    assert len(names) == 2


def test_each_shared_function_is_defined_once() -> None:
    """All files share one table: a second definition of a name would silently take the place of the first."""
    named = re.compile(r"^(?:function )?(L\.(?:step\.)?\w+(?:, L\.\w+)*)(?:\(| =)", re.MULTILINE)
    defined = Counter(
        one for name in FILES for found in named.findall(scripts._text(name)) for one in found.split(", ") if one != "L.step"
    )
    assert len(defined) > 150
    assert [name for name, times in defined.items() if times > 1] == []


@pytest.mark.parametrize("name", [name for name in FILES if name != "lib/incarnation"])
def test_values_of_one_call_do_not_outlive_it(name: str) -> None:
    """A library is composed once: what a file keeps beside constants and functions says `-- per call`, and is set at the start of each.

    What `outlives calls` may save work, and nothing else: after a start of the server it is empty.
    """
    constant = re.compile(r"local [A-Z][A-Z_]*\b|L\.\w+ = L?[\w.]+( or \{\})?$")
    text = scripts._text(name)
    kept = [line for line in text.splitlines() if re.match(r"local (?!function)|[\w.]+ = ", line)]
    assert [line for line in kept if not constant.match(line) and not re.search("-- (per call|outlives calls)", line)] == []
    assert set(re.findall(r"^ +(L\.\w+) = ", text, re.MULTILINE)) <= set(
        re.findall(r"^(L\.\w+) = .* -- per call$", text, re.MULTILINE)
    )


# -- servers and users without functions


def test_a_user_without_the_right_to_call_functions_uses_scripts(server: PrivateServer, redis_client: redis.Redis) -> None:
    with user(server) as client:
        store = Store(client, namespace="flowq-test")
        before = calls(redis_client, "fcall"), calls(redis_client, "eval") + calls(redis_client, "evalsha")
        assert create(store, "a") is Outcome.DONE
        driver = Driver(store)
        assert driver.end(driver.take()) is Outcome.DONE
        driver.close()
        assert calls(redis_client, "fcall") == before[0]
        assert calls(redis_client, "eval") + calls(redis_client, "evalsha") > before[1]


def test_a_user_without_the_right_to_load_a_library_uses_scripts_until_it_is_there(
    server: PrivateServer, redis_client: redis.Redis
) -> None:
    flush(redis_client)
    with user(server, "+fcall", "-function") as client:
        assert create(Store(client, namespace="flowq-test"), "a") is Outcome.DONE
    assert libraries(redis_client) == []
    create(Store(redis_client, namespace="flowq-test"), "b")  # one with more rights loads it
    with user(server, "+fcall", "-function") as client:
        before = calls(redis_client, "eval")
        assert create(Store(client, namespace="flowq-test"), "c") is Outcome.DONE
        assert calls(redis_client, "eval") == before


# -- a server without memory


def test_a_full_server_takes_no_new_jobs_and_lets_old_ones_go(store: Store, driver: Driver, functions: bool) -> None:
    for job in ("a", "b", "c"):
        create(store, job)
    ended = submit(store, plan({"x": []}), directory="/d")
    while claim := Driver(store, f"{ended}/default").claim():
        driver.end(claim)
    running = submit(store, plan({"y": []}), directory="/d")
    driver.settle()
    store.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(
            ServerError, match=r"reached its maxmemory and refuses new data: raise maxmemory, or delete runs and results"
        ):
            create(store, "d")
        assert store.jobs.cancel("a") is Outcome.DONE
        assert store.jobs.delete("b") is Outcome.DONE
        assert store.queues.empty("default") == 1
        assert store.runs.cancel(running) is Outcome.DONE
        driver.settle()
        assert store.runs.delete(running) is Outcome.DONE
    finally:
        store.client.config_set("maxmemory", "0")
    assert store.jobs.get("b") is None
    assert store.session.functions is functions
