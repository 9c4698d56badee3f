"""A delivery starts one run, however often it is sent and wherever a page died; each rule for that is needed.

The store, the catalog and what deals with a delivery are real; that a page dies is that it makes no further call.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.events import webhooks
from flowq.schedules.events.event_runs import KnownTrigger
from flowq.schedules.slot_runs import Maker
from flowq.serve.http.handlers import hooks
from flowq.serve.http.replies import RefusedError
from flowq.store import Store
from flowq.store.client.session import Session
from tests.model.executors_replay import edited_module
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver
from tests.support.stories import noticed

FLOW = """
triggers:
  came:
    webhook: {secret: {env: HOOK_OF_TESTS}, scheme: token}
    if: event.body.go
    params: {x: "${{ event.body.x }}"}
params: {x: {type: integer}}
jobs: {a: {run: 'true'}}
"""
PERIOD = 600_000  # ms, within which content without an id is known


class DiedError(Exception):
    """The page died."""


@dataclass
class Hook:
    """The trigger `came` of a served directory, and the modules that deal with its deliveries."""

    store: Store
    known: KnownTrigger
    webhooks: ModuleType = webhooks
    hooks: ModuleType = hooks

    def send(self, x: int = 1, *, name: str = "d1", go: bool = True, at: int = 7 * PERIOD) -> tuple[int, str | None]:
        """Send a delivery; return the status and the run of the answer."""
        headers = {"authorization": "Bearer secret", "x-flowq-delivery": name}
        delivery = webhooks.HookDelivery(headers, b'{"x": %d, "go": %s}' % (x, b"true" if go else b"false"), at)
        try:
            reply = self.hooks._reply(self.known, self.webhooks.deliver(Maker(self.store, "/"), self.known, delivery))
        except RefusedError as error:
            return error.status, None
        return reply.status, reply.content["id"] if reply.content else None

    def die(self, before: str) -> None:
        """Send a delivery to a page that dies before it makes a call."""
        run = Session.run

        def dying(session: Session, script: str, *arguments: Any) -> Any:
            if script == before:
                raise DiedError
            return run(session, script, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Session, "run", dying)
            with pytest.raises(DiedError):
                self.send()

    def uploads(self) -> list[str]:
        """Return the runs whose upload was left."""
        client: Any = self.store.client
        keys: list[bytes] = [*client.scan_iter(match=self.store.session.keys("run", "*"))]
        return [key.decode().rpartition(":")[2] for key in keys if client.hget(key, "status") == b"staging"]

    @property
    def runs(self) -> list[str]:
        return self.store.runs.recent()


def one_run_however_often_it_is_sent(hook: Hook) -> None:
    status, run = hook.send()
    assert (status, hook.runs) == (202, [run])
    assert [hook.send(), hook.send(2)] == [(200, run)] * 2, "its id says which it is, not its content"
    assert hook.send(name="d2")[0] == 202
    assert len(hook.runs) == 2


def no_second_run_when_the_first_is_gone(hook: Hook) -> None:
    _, run = hook.send()
    assert run is not None
    driver = Driver(hook.store)
    Drive(hook.store, driver, run).to_the_end()
    driver.close()
    hook.store.runs.delete(run)
    assert (hook.send(), hook.runs) == ((200, None), [])
    assert [hook.send(name="d2", go=False), hook.send(name="d2"), hook.runs] == [(204, None), (200, None), []]


def content_is_known_for_ten_minutes(hook: Hook) -> None:
    status, run = hook.send(name="", at=8 * PERIOD - 1)
    assert status == 202
    assert hook.send(name="", at=8 * PERIOD) == (200, run)
    assert hook.send(2, name="", at=8 * PERIOD)[0] == 202
    assert hook.send(name="", at=10 * PERIOD)[0] == 202


def an_upload_that_was_left_is_completed(hook: Hook) -> None:
    hook.die("run/publish")
    (run,) = hook.uploads()
    assert [hook.send(), hook.send()] == [(202, run), (200, run)]


def an_upload_that_is_another_is_waited_for(hook: Hook) -> None:
    hook.die("run/publish")
    (run,) = hook.uploads()
    assert [hook.send(2), hook.runs] == [(503, None), []]
    hook.store.session.run("run/collect_garbage", run, 0)  # as the timer of the upload does, where it has many jobs
    assert [hook.send(), hook.send(2), hook.runs] == [(503, None), (503, None), []]
    hook.store.runs.collect(run)
    assert [hook.send(2), hook.send()] == [(202, run), (200, run)]


STORIES: tuple[Callable[[Hook], None], ...] = (
    one_run_however_often_it_is_sent,
    no_second_run_when_the_first_is_gone,
    content_is_known_for_ten_minutes,
    an_upload_that_was_left_is_completed,
    an_upload_that_is_another_is_waited_for,
)

IN_LUA = {
    "what was dealt with is not looked at": (
        "lib/slot_claims",
        "if claim.cursor == '' and call('ZSCORE', K.events_seen(claim.id), claim.key) then return 'conflict' end",
        "",
    ),
    "what is dealt with is not noted": ("lib/slot_claims", "call('ZADD', K.events_seen(claim.id), now, claim.key)", ""),
    "an upload that is being deleted is there": ("run/publish", " and found[1] ~= 'collecting'", ""),
}
IN_PYTHON = {
    "each delivery is another one": (webhooks, "delivery.at_ms, key, over", "delivery.at_ms, key + __import__('os').urandom(9).hex(), over"),
    "an id is not looked at": (webhooks, "if given and given.isprintable():", "if False:"),
    "the last ten minutes are forgotten": (webhooks, "if before is not None and not", "if False and not"),
    "a delivery is noted before its run is there": (
        webhooks,
        "    claim = EventClaim(",
        "    schedules.settle_event(EventClaim(known.id, delivery.at_ms, key))\n    claim = EventClaim(",
    ),
    "an upload that was left is a run": (webhooks, "is Outcome.CONFLICT and not found.run and not schedules.unseen(known.id, [key])", "is Outcome.CONFLICT and not found.run"),
    "a delivery that has to come again is taken": (hooks, 'raise RefusedError(503, "not_complete", text, headers={"Retry-After": "60"})', 'return Reply(200, {"id": None})'),
}  # fmt: skip


@pytest.fixture
def hook(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hook:
    monkeypatch.setenv("HOOK_OF_TESTS", "secret")
    root = tmp_path / "flows"
    root.mkdir()
    (root / "hook.yaml").write_text(FLOW)
    os.utime(root / "hook.yaml", (0, 0))
    catalog = Catalog(root)
    catalog.look()
    flow = catalog.flows["hook"]
    return Hook(store, KnownTrigger("flows/hook:came", flow, flow.compilation.triggers[0]))


@pytest.mark.parametrize("story", STORIES)
def test_a_story_of_deliveries(hook: Hook, story: Callable[[Hook], None]) -> None:
    story(hook)


@pytest.mark.parametrize("name", IN_LUA)
def test_a_mistake_in_the_lua_is_noticed(hook: Hook, mutate: Callable[[str, str, str], None], name: str) -> None:
    mutate(*IN_LUA[name])
    assert noticed(hook.store, STORIES, hook)


@pytest.mark.parametrize("name", IN_PYTHON)
def test_a_mistake_in_the_python_is_noticed(hook: Hook, name: str) -> None:
    module, right, wrong = IN_PYTHON[name]
    changed = edited_module(module, right, wrong)
    if module is webhooks:
        hook.webhooks = changed
    else:
        hook.hooks = changed
    assert noticed(hook.store, STORIES, hook)
