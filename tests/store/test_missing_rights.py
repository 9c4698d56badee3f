"""A right that the server's user does not have while a script runs: the caller is told which, nothing is set aside, and nothing is lost."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
import redis

from flowq.exceptions import ServerError
from flowq.plan import Concurrency, RetryPolicy
from flowq.store import Store
from flowq.store.client.async_connection import WorkerConnection
from flowq.store.client.scripts import commands_of, read_header
from flowq.store.client.session import Session
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import LogLines, Outcome
from flowq.store.schema.records import Registration
from flowq.store.schema.rights import ServerRole, commands_of_scripts
from tests.store.test_lost_replies import EXPECTED, story
from tests.support import graphs, invariants
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution

USER = f"flowq-{ServerRole.WORKER}"
EVERYTHING = "~{flowq-test}:*"
PATTERNS = (
    "~{flowq-test}:meta ~{flowq-test}:job:* ~{flowq-test}:queue:* ~{flowq-test}:registry:*",
    f"%R{EVERYTHING} ~{{flowq-test}}:meta",
)
"""Rights to keys in place of all: of some kinds, and to read them."""


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


REFUSED_BY_SERVER = ("ACL failure", "The user executing the script can't", "no permissions to ")
"""What the server says, the second one of Redis 7.0."""
REFUSED: Final = object()
LATE = {"get", "llen", "del", "hincrby", "sismember", "scard", "hlen", "sadd", "hdel"}
"""What an ordinary job comes to when its change is complete: hints, what is waiting, counts. The same call again says that it was made."""


class Taker:
    """Takes rights from the user before each call of the store, one after the other, and gives each back.

    Args:
        server: of which the user is.
        most: how many rights are taken before a call; those of later calls of the script are others.
    """

    def __init__(self, server: PrivateServer, most: int) -> None:
        self._admin: Any = server.client()
        self._most = most
        self._next: Counter[str] = Counter()  # by script: with one for all, calls in a pattern would take the same ones again
        self.refused: set[tuple[str, str]] = set()  # scripts and what was taken
        self.texts: set[str] = set()

    def rules(self, script: str) -> list[tuple[str, list[str], list[str]]]:
        """Return rights that a script needs: a name, and what takes and gives it."""
        found = [(name, [f"-{name}"], [f"+{name}"]) for name in commands_of(script)]
        return found + [(keys, ["resetkeys", *keys.split()], ["resetkeys", EVERYTHING]) for keys in PATTERNS]

    def before(self, script: str, deal: Callable[[], object]) -> object:
        """Make a call without a right, until one succeeds: what is refused changes nothing. Return the reply, else `REFUSED`."""
        rules = self.rules(script)
        for _ in range(min(self._most, len(rules))):
            name, take, give = rules[self._next[script] % len(rules)]
            self._next[script] += 1
            seconds, micros = self._admin.time()  # else each call that notes the time asks for all rights
            self._admin.hset("{flowq-test}:meta", "served", seconds * 1000 + micros // 1000)
            known = self._data()
            self._admin.execute_command("ACL", "SETUSER", USER, *take)
            try:
                return deal()
            except (ServerError, redis.exceptions.ResponseError) as error:
                assert self._data() == known or name in LATE.difference(read_header(script).rights or LATE), (script, name)
                self.refused.add((script, name))
                self.texts.add(str(error))
            finally:
                self._admin.execute_command("ACL", "SETUSER", USER, *give)
        return REFUSED

    def _data(self) -> object:
        return self._admin.execute_command("DEBUG", "DIGEST")


def taken_before_each_call(monkeypatch: pytest.MonkeyPatch, limited: PrivateServer, most: int) -> Taker:
    taker = Taker(limited, most)
    evaluate, transmit = Session._evaluate, WorkerConnection._transmit

    def deal(self: Session, script: Any, flat: Any, incarnation: str | None = None) -> Any:
        answer = taker.before(script.name, lambda: evaluate(self, script, flat, incarnation))
        return evaluate(self, script, flat, incarnation) if answer is REFUSED else answer

    def send(self: WorkerConnection, request: Any) -> None:
        taker.before(request.script.name, lambda: evaluate(self._session, request.script, request.arguments))
        transmit(self, request)

    monkeypatch.setattr(Session, "_evaluate", deal)
    monkeypatch.setattr(WorkerConnection, "_transmit", send)
    return taker


def test_a_list_is_refused_before_its_first_job_is_created(limited: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is an ordinary one, which needs few rights; the second one needs more."""
    limited.client().flushall()
    store = Store(limited.user_client(max_connections=1), "flowq-test").open()  # so that no call is sent ahead
    taker = taken_before_each_call(monkeypatch, limited, most=100)
    jobs = [NewJob("one", "default", b"", "n1"), NewJob("two", "default", b"", "n2", parents=[("one", "success")])]
    assert [outcome for outcome, _ in store.jobs.create_many(jobs)] == [Outcome.DONE] * 2
    assert len([script for script, _ in taker.refused if script == "job/create_many"]) > 30
    invariants.check(store)


def plain_jobs(store: Store, driver: Driver) -> dict[str, str]:
    """Create ordinary jobs and others, end them in all ways; return their statuses."""

    def create(job: str, *parents: str, group: str = "", due_ms: int = -1, **fields: str | int) -> None:
        edges = [(parent, "success") for parent in parents]
        texts = {name: str(value) for name, value in fields.items()}
        new = NewJob(
            job, "default", b"data", f"nonce-{job}", due_ms=due_ms, parents=edges, fields=texts, group=group, coming=-1
        )
        assert store.jobs.create(new)[0] is Outcome.DONE

    create("one")
    create("two", result_ttl=0)
    create("again", retry="1|0|0|0")
    create("round", repeat="1|0")
    create("red", semaphores="1 job/red")
    create("redder", semaphores="1 job/red")
    create("slow", semaphores="1 limit/slow", rate_limit="1||")
    create("told", webhooks='finished 1000 {"url": "http://localhost:1"}')
    create("below", "one", "again")
    create("member", group="team")
    create("later", due_ms=0)
    create("over", ttl=0)
    store.jobs.create_many([NewJob(f"many{number}", "default", b"", f"nonce{number}") for number in range(3)])
    failed: set[str] = set()
    while True:
        driver.settle()
        claims = [
            claim for claim in (driver.claim(), driver.claim()) if claim is not None
        ]  # one each: a call may do one and be refused the next
        if not claims:
            break
        for claim in claims:
            driver.step(logs=(LogLines(claim.id, claim.token, 1, "stdout", b"a line"),))
            fails = claim.id == "again" and claim.id not in failed
            failed.add(claim.id)
            driver.step(execution(claim, "failed" if fails else "finished", retryable=fails))
    create("gone")
    store.jobs.cancel("gone")
    store.jobs.requeue("gone")
    driver.lose(driver.take())
    names = [
        "one",
        "again",
        "round",
        "red",
        "redder",
        "slow",
        "told",
        "below",
        "member",
        "later",
        "over",
        "many0",
        "many2",
        "gone",
    ]
    return {name: str(record.status) for name, record in zip(names, store.jobs.get_many(names), strict=True) if record}


def ranked_jobs(store: Store, driver: Driver) -> dict[str, str]:
    """Execute a run whose jobs change their turns, with limits, lifetimes and a retry; return their statuses."""
    shape: graphs.Shape = {"first": [], **{name: ["first"] for name in "abcdef"}, "last": dict.fromkeys("abcdef", "done")}
    one = Concurrency("few", 1)
    nodes: dict[str, dict[str, object]] = {
        "b": {"concurrency": one},
        "d": {"concurrency": one},
        "c": {"ttl": 0.0},
        "e": {"retry": RetryPolicy(1)},
        "f": {"priority": 3},
    }
    made = graphs.plan(shape, cells={"a": 3}, extra=graphs.Extra(nodes=nodes))
    graphs.submit_ranked(store, made, "ranked", [number * 7 % 5 for number in range(len(made.cells))])
    retried = next(f"ranked:{cell.ordinal}" for cell in made.cells if cell.name == "e")
    failed = False
    while True:
        driver.settle()
        if (claim := driver.claim()) is None:
            break
        fails = not failed and claim.id == retried
        failed = failed or fails
        driver.step(execution(claim, "failed" if fails else "finished", retryable=fails))
    return graphs.statuses(store, "ranked")


ENDS = dict.fromkeys(
    ["one", "again", "round", "red", "redder", "slow", "told", "below", "member", "later", "many0", "many2"], "finished"
)
RANKED = dict.fromkeys(["first", "a[n=0]", "a[n=1]", "a[n=2]", "b", "d", "e", "f", "last"], "finished") | {
    "c": "failed/expired"
}
STORIES: dict[str, tuple[Callable[[Store, Driver], dict[str, str]], dict[str, str]]] = {
    "a run": (story, EXPECTED),
    "jobs with ranks": (ranked_jobs, RANKED),
    "plain jobs": (plain_jobs, {**ENDS, "over": "failed", "gone": "failed"}),
}


@pytest.mark.parametrize("most", [8, pytest.param(100, marks=pytest.mark.chaos)], ids=["some", "all"])
@pytest.mark.parametrize("name", STORIES)
def test_a_right_is_taken_away_before_each_call_and_given_back(
    limited: PrivateServer, monkeypatch: pytest.MonkeyPatch, name: str, most: int
) -> None:
    """A call that is refused has changed nothing, and made again later it does what it would have done."""
    limited.client().flushall()
    store = Store(limited.user_client(max_connections=1), "flowq-test").open()  # so that no call is sent ahead
    tell, expected = STORIES[name]
    taker = taken_before_each_call(monkeypatch, limited, most)
    driver = Driver(store)
    assert tell(store, driver) == expected
    driver.close()
    monkeypatch.undo()
    invariants.check(store)
    assert store.workers.all_set_aside() == {}
    assert len(taker.refused) > 100
    by_flowq = {text for text in taker.texts if not any(of_server in text for of_server in REFUSED_BY_SERVER)}
    assert by_flowq
    assert all("nothing was changed; `flowq acl` prints the rights" in text for text in by_flowq)


def test_a_run_is_submitted_without_the_right_to_read_the_last_one(limited: PrivateServer) -> None:
    limited.client().flushall()
    store = Store(limited.user_client(), "flowq-test").open()
    shape: graphs.Shape = {"a": [], "b": [], "c": []}
    first = graphs.run(store, shape)
    driver = Driver(store)
    for claim in [driver.take() for _ in range(3)]:
        driver.end(claim)
    driver.settle()
    driver.close()
    assert store.runs.latest_finished("test") == first
    allow(limited, "-getrange")
    with pytest.raises(ServerError, match="getrange"):
        store.runs.plan(first)
    assert graphs.run(store, shape) != first
    allow(limited, "+getrange")
