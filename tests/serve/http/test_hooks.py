"""Deliveries of webhooks: signed, forged, altered, late, repeated, and at once."""

import hashlib
import hmac
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowq.plan.trigger import SCHEMES, Trigger
from flowq.schedules.events.event_runs import KnownTrigger
from flowq.schedules.events.webhooks import HookDelivery, NotVerifiedError, _verify
from flowq.schedules.requests import FlowFile
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.serve.http.conftest import HOOK, NAMESPACE, SECRET, execute
from tests.support.page_server import Answer, PageServer, token_of
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until

MAIN = {"ref": "refs/heads/main", "after": "c0ffee"}


def signature(content: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def push(page: PageServer, body: Any = MAIN, *, delivery: str = "d1", address: str = "10.2.0.1", **changed: str) -> Answer:
    content = json.dumps(body).encode()
    headers = {"X-Hub-Signature-256": f"sha256={signature(content)}", "X-GitHub-Delivery": delivery, "X-Forwarded-For": address}
    return page.ask("POST", "/hooks/hook/pushed", content, headers=headers | changed)


def test_a_delivery_starts_one_run(page: PageServer, store: Store) -> None:
    first = push(page)
    assert first.status == 202, first.body
    run = store.runs.require(first.document["id"])
    assert (run.cause, run.by, json.loads(run.params)) == ("webhook", "flows/hook:pushed", {"commit": "c0ffee"})
    again = push(page)
    assert (again.status, again.document) == (200, {"id": run.id})
    assert push(page, delivery="d2").document["id"] != run.id
    assert len(store.runs.recent()) == 2


def test_a_delivery_that_comes_twice_at_once_starts_one_run(page: PageServer, store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: push(page), range(8)))
    assert {answer.document["id"] for answer in answers} == set(store.runs.recent())
    assert sorted(answer.status for answer in answers) == [200] * 7 + [202]


@pytest.fixture
def left(server: PrivateServer, store: Store, flows: Path, tmp_path: Path) -> str:
    """The run of delivery d1, whose upload was left by a page that was killed before it was complete."""

    def kill(_number: int) -> bool:
        if b"publish" in proxy.request[:200]:
            dying.process.kill()
            dying.process.wait(15)
            raise ConnectionAbortedError  # the call is not forwarded
        return False

    proxy = Proxy(server.socket, kill)
    env = {"FLOWQ_REDIS_URL": proxy.url, "FLOWQ_NAMESPACE": NAMESPACE, "PAGE_HOOK": SECRET}
    dying = PageServer(str(flows), "--trust-proxy=127.0.0.1", log=tmp_path / "log", env=env)
    with dying, pytest.raises(OSError, match=r"reset|closed|Remote"):
        push(dying)
    proxy.close()
    (key,) = store.client.scan_iter(store.session.keys("run", "*"), count=1000)
    assert store.client.hget(key, "status") == b"staging"
    return str(key.decode().rpartition(":")[2])


def test_a_delivery_whose_page_died_in_the_middle_is_taken_over(page: PageServer, store: Store, left: str) -> None:
    assert [(answer.status, answer.document) for answer in (push(page), push(page))] == [
        (202, {"id": left}),
        (200, {"id": left}),
    ]
    assert store.runs.recent() == [left]


def test_a_delivery_that_cannot_take_an_upload_over_comes_later(page: PageServer, store: Store, left: str) -> None:
    """The flow, or what it reads of the delivery, is not what it was: the sender is told to come again, until the upload was deleted."""
    changed = {**MAIN, "after": "other"}
    for _ in range(2):
        answer = push(page, changed)
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "not_complete", "60")
    assert store.runs.recent() == []
    assert store.session.run("run/collect_garbage", left, 0) == [b"done", 1]  # as the timer of the upload does, with many jobs
    assert [push(page, body).code for body in (changed, MAIN)] == ["not_complete"] * 2
    assert store.runs.collect(left) is Outcome.DONE
    assert [push(page, changed).status, push(page, changed).status] == [202, 200]
    assert json.loads(store.runs.require(left).params) == {"commit": "other"}
    execute(store, left, a="finished")
    store.runs.delete(left)
    assert [(answer.status, answer.document) for answer in (push(page, changed), push(page))] == [(200, {"id": None})] * 2


def test_a_delivery_while_the_flow_changes_comes_later(page: PageServer, store: Store, flows: Path) -> None:
    (flows / "hook.yaml").write_text(f"{HOOK}# changed\n")
    answer = push(page)
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "flow_changed", "5")
    until(lambda: push(page).status == 202, message="the page to know the changed file")


def test_a_delivery_that_is_none_of_the_triggers_is_answered(page: PageServer, store: Store) -> None:
    assert push(page, {**MAIN, "ref": "refs/heads/other"}).status == 204
    assert store.runs.recent() == []
    assert [item.reason for item in store.schedules.log("flows/hook:pushed")] == ["if_false"]


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": f"sha256={signature(b'other')}"},
        {"X-Hub-Signature-256": signature(json.dumps(MAIN).encode())},
        {"X-Hub-Signature-256": f"sha256={signature(json.dumps(MAIN).encode(), 'other')}"},
        {"X-Hub-Signature-256": "sha256=\xff"},
    ],
)
def test_a_forged_delivery_is_refused(page: PageServer, store: Store, changed: dict[str, str]) -> None:
    answer = push(page, address="10.2.0.2", **changed)
    assert (answer.status, answer.code) == (401, "signature")
    assert store.runs.recent() == []


def test_forged_deliveries_keep_out_only_forged_ones(page: PageServer, store: Store) -> None:
    forged = {"address": "10.2.0.9", "X-Hub-Signature-256": "sha256=0"}
    assert [push(page, **forged).status for _ in range(12)] == [401] * 10 + [429] * 2
    assert push(page, address="10.2.0.9").status == 202
    headers = {"X-Forwarded-For": "10.2.0.9"}
    assert page.ask("GET", "/api/v1/info", token=token_of(store, "viewer"), headers=headers).status == 200


def test_a_webhook_that_is_not_there_looks_like_one_with_a_wrong_signature(page: PageServer, store: Store) -> None:
    seen = []
    for number, path in enumerate(("hook/pushed", "hook/nothing", "etl:load/pushed", "no:flow/pushed")):
        headers = {"X-Forwarded-For": f"10.2.1.{number}"}
        found = [page.ask("POST", f"/hooks/{path}", b"{}", headers=headers) for _ in range(11)]
        assert [answer.status for answer in found] == [401] * 10 + [429]
        seen.append((found[0].body, found[10].body, {**found[0].headers, "date": ""}))
    assert all(item == seen[0] for item in seen)


@pytest.mark.parametrize("content", [b'{"ref": NaN}', b'{"ref": Infinity}', b'{"ref": "a", "ref": "refs/heads/main"}'])
def test_what_only_python_takes_for_json_is_refused(page: PageServer, store: Store, content: bytes) -> None:
    headers = {"X-Hub-Signature-256": f"sha256={signature(content)}", "X-GitHub-Delivery": "d"}
    answer = page.ask("POST", "/hooks/hook/pushed", content, headers=headers)
    assert (answer.status, answer.code) == (422, "delivery")


def test_credentials_of_users_open_no_hook(page: PageServer, store: Store) -> None:
    answer = page.ask(
        "POST", "/hooks/hook/pushed", b"{}", token=token_of(store, "admin"), headers={"X-Forwarded-For": "10.2.0.3"}
    )
    assert answer.status == 401
    assert page.ask("GET", "/hooks/hook/pushed").status == 405


def test_a_signed_delivery_that_is_no_json_or_too_large_is_refused(page: PageServer, store: Store) -> None:
    for content, status in ((b"{", 422), (b" " * 300_000, 413)):
        headers = {"X-Hub-Signature-256": f"sha256={signature(content)}", "X-GitHub-Delivery": "d"}
        assert page.ask("POST", "/hooks/hook/pushed", content, headers=headers).status == status


@pytest.mark.parametrize("body", [[], None, 1, "text", {}, {"zen": "a ping"}, {"ref": "refs/heads/main"}])
def test_a_signed_delivery_that_the_trigger_cannot_read_is_refused(page: PageServer, store: Store, body: Any) -> None:
    answer = push(page, body)
    assert (answer.status, answer.code) == (422, "delivery"), answer.body
    assert answer.document["error"]["message"].startswith("flows/hook:pushed: event.body")
    assert store.runs.recent() == []
    assert push(page).status == 202  # its id is not used up


def test_a_paused_trigger_takes_nothing(page: PageServer, store: Store) -> None:
    store.schedules.beat("test", [("flows/hook:pushed", "d", False)])
    store.schedules.pause("flows/hook:pushed", "ann")
    assert push(page).code == "paused"
    store.schedules.resume("flows/hook:pushed")
    assert push(page).status == 202


def test_a_delivery_without_an_id_is_known_by_its_content(page: PageServer, store: Store) -> None:
    def post(content: bytes) -> Answer:
        return page.ask(
            "POST", "/hooks/hook/plain", content, headers={"Authorization": f"Bearer {SECRET}", "X-Forwarded-For": "10.2.0.4"}
        )

    assert [post(b'{"a": 1}').status, post(b'{"a": 1}').status, post(b'{"a": 2}').status] == [202, 200, 202]


# -- schemes


def delivery(scheme: str, secret: str = SECRET, *, at: int = 0, body: bytes = b'{"a": 1}') -> HookDelivery:
    """Return a signed delivery that says it is `at` seconds old."""
    now = int(time.time())
    then = str(now - at)
    received = secret.encode().decode("latin-1")  # as a server of HTTP gives it
    headers = {
        "github": {"x-hub-signature-256": f"sha256={signature(body, secret)}"},
        "gitlab": {"x-gitlab-token": received},
        "slack": {
            "x-slack-request-timestamp": then,
            "x-slack-signature": f"v0={signature(b'v0:' + then.encode() + b':' + body, secret)}",
        },
        "hmac-sha256": {
            "x-flowq-timestamp": then,
            "x-flowq-signature": f"sha256={signature(then.encode() + b'.' + body, secret)}",
        },
        "token": {"authorization": f"Bearer {received}"},
    }[scheme]
    return HookDelivery(headers, body, now * 1000)


@pytest.mark.parametrize("secret", [SECRET, "schlüssel 🔑"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_verified(monkeypatch: pytest.MonkeyPatch, scheme: str, secret: str) -> None:
    monkeypatch.setenv("PAGE_HOOK", secret)
    known = KnownTrigger(
        "x", FlowFile("x", "/x.yaml"), Trigger(name="a", kind="webhook", scheme=scheme, secret={"env": "PAGE_HOOK"})
    )
    good = delivery(scheme, secret)
    _verify(known, good)
    refused = [delivery(scheme, "other"), HookDelivery({}, good.body, good.at_ms)]
    if scheme not in {"gitlab", "token"}:
        refused.append(HookDelivery(good.headers, good.body + b" ", good.at_ms))
    if scheme in {"slack", "hmac-sha256"}:
        refused += [delivery(scheme, secret, at=301), delivery(scheme, secret, at=-301)]
        _verify(known, delivery(scheme, secret, at=299))
    for item in refused:
        with pytest.raises(NotVerifiedError):
            _verify(known, item)


def test_a_delivery_with_a_time_cannot_be_sent_again_under_another_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGE_HOOK", SECRET)
    trigger = Trigger(name="a", kind="webhook", scheme="hmac-sha256", secret={"env": "PAGE_HOOK"})
    known = KnownTrigger("x", FlowFile("x", "/x.yaml"), trigger)
    now, body = int(time.time()), b'{"a": 1}'
    name = "x-flowq-delivery"
    signed = {
        "x-flowq-timestamp": str(now),
        name: "d1",
        "x-flowq-signature": f"sha256={signature(f'{now}.d1.'.encode() + body)}",
    }
    _verify(known, HookDelivery(signed, body, now * 1000))
    without_id = {key: value for key, value in signed.items() if key != name}
    without_time = {key: value for key, value in signed.items() if key != "x-flowq-timestamp"}
    unsigned_id = delivery("hmac-sha256")
    replayed = HookDelivery({**unsigned_id.headers, name: "d2"}, unsigned_id.body, unsigned_id.at_ms)
    for headers in ({**signed, name: "d2"}, without_id, without_time, {**signed, name: ""}):
        with pytest.raises(NotVerifiedError):
            _verify(known, HookDelivery(headers, body, now * 1000))
    with pytest.raises(NotVerifiedError):
        _verify(known, replayed)
