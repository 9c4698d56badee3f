"""Messages about runs on the command line: `flowq run`, `--no-notify`, `flowq notify`."""

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.flows.local_worker.messages import LONGEST
from flowq.plan.notice import Notice, stored_notices
from tests.cli.process import Process
from tests.examples.running import flowq
from tests.support.endpoint import Endpoint
from tests.support.ports import free_ports
from tests.support.wait import until

FLOW = """
notify:
  - {on: [failed, finished], to: {env: OPS}, secret: {env: KEY}, message: "${{ run.name }}: ${{ event.kind }}"}
jobs: {a: {run: 'true'}}
"""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with Endpoint() as receiver:
        monkeypatch.setenv("OPS", f"{receiver.url}/canary")
        monkeypatch.setenv("KEY", "secret")
        yield receiver


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "nightly.yaml").write_text(FLOW)
    return tmp_path


def test_a_run_tells_of_its_end_unless_it_is_told_not_to(home: Path, place: Path, endpoint: Endpoint) -> None:
    quiet = flowq("run", "nightly.yaml", "--no-notify", "--output", "quiet", cwd=place)
    assert (quiet.code, endpoint.asked) == (0, [])
    told = flowq("run", "nightly.yaml", "--output", "quiet", cwd=place)
    assert told.code == 0
    (asked,) = endpoint.asked
    assert (asked.document["message"], asked.document["run"]["status"]) == ("nightly: finished", "finished")
    assert "canary" not in told.out + told.err
    assert home.is_dir()


def test_messages_are_tried_before_they_matter(place: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = flowq("notify", "nightly.yaml", cwd=place)
    assert (shown.code, endpoint.asked) == (0, [])
    assert "$OPS  there    failed, finished" in shown.out
    tried = flowq("notify", "nightly.yaml", "--test", cwd=place)
    assert (tried.code, endpoint.asked[0].document["event"]) == (0, "test")
    assert endpoint.asked[0].headers["X-Flowq-Signature"].startswith("sha256=")
    endpoint.answers = [404]
    failed = flowq("notify", "nightly.yaml", "--test", cwd=place)
    assert failed.code == 1
    assert "$OPS  failed   failed, finished  the answer was 404 Not Found" in failed.out
    monkeypatch.delenv("OPS")
    (missing,) = json.loads(flowq("notify", "nightly.yaml", "--json", cwd=place).out)
    assert "the variable OPS is not set" in missing["problem"]


def test_a_flow_without_messages_says_so(place: Path) -> None:
    (place / "other.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    (place / "wrong.yaml").write_text("jobs: {a: {runs: 'true'}}\n")
    assert "it has no `notify`" in flowq("notify", "other.yaml", cwd=place).err
    wrong = flowq("notify", "wrong.yaml", cwd=place)
    assert wrong.code == 3
    assert "FQ101" in wrong.err


def test_messages_for_all_flows_of_a_project(home: Path, tmp_path: Path, endpoint: Endpoint) -> None:
    (tmp_path / "flowq.toml").write_text('[[notify]]\non = ["finished"]\nto = {env = "OPS"}\n')
    (tmp_path / "plain.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    quiet = flowq("run", "plain.yaml", "--no-notify", "--output", "quiet", cwd=tmp_path)
    assert (quiet.code, endpoint.asked) == (0, [])
    assert flowq("run", "plain.yaml", "--output", "quiet", cwd=tmp_path).code == 0
    (asked,) = endpoint.asked
    assert asked.document["message"].startswith("plain has finished (run ")
    assert "$OPS  there    finished" in flowq("notify", "plain.yaml", cwd=tmp_path).out
    (row,) = [row for row in json.loads(flowq("config", "--json", cwd=tmp_path).out) if row["name"] == "notify"]
    assert row == {"name": "notify", "value": "1 message", "source": str(tmp_path / "flowq.toml"), "variable": None}
    assert home.is_dir()


@pytest.mark.parametrize("jobs", ["{a: {run: 'true'}}", "{a: {foreach: range(2), run: 'true'}}"])
def test_a_run_does_not_wait_for_a_message_without_an_address(home: Path, place: Path, jobs: str) -> None:
    (place / "nightly.yaml").write_text(FLOW.partition("jobs:")[0] + f"jobs: {jobs}\n")
    begin = time.monotonic()
    told = flowq("run", "nightly.yaml", "--output", "quiet", cwd=place)
    again = flowq("retry", "@latest", "--job", "a", "--output", "quiet", cwd=place)
    assert time.monotonic() - begin < LONGEST
    assert (told.code, again.code) == (0, 0)
    assert "1 message about run " in told.err
    for asked in (told, again):
        assert " could not be sent yet (secret $OPS: the variable OPS is not set; export it before" in asked.err
    assert told.err.count("tried again in") == 1
    assert home.is_dir()


TWO = """
notify:
  - {on: [finished], to: {env: OPS}}
  - {on: [finished], to: {env: OTHER}}
jobs: {a: {run: 'true'}}
"""


def test_a_run_does_not_wait_for_one_of_several_addresses_that_is_missing(home: Path, place: Path, endpoint: Endpoint) -> None:
    (place / "nightly.yaml").write_text(TWO)
    begin = time.monotonic()
    told = flowq("run", "nightly.yaml", "--output", "quiet", cwd=place)
    assert time.monotonic() - begin < LONGEST
    assert (told.code, len(endpoint.asked)) == (0, 1)
    assert "1 message about run " in told.err
    assert " could not be sent yet (secret $OTHER: the variable OTHER is not set;" in told.err
    assert home.is_dir()


@pytest.mark.parametrize("stops", [True, False], ids=["Ctrl+C", "to its end"])
def test_a_run_says_that_it_waits_for_a_message_that_cannot_be_delivered(
    home: Path, place: Path, endpoint: Endpoint, stops: bool
) -> None:
    """It has a second try after 5 s, and is waited for no longer when that fails too."""
    (place / "nightly.yaml").write_text(TWO)
    unreachable = f"http://127.0.0.1:{free_ports(1)[0]}/"
    begin = time.monotonic()
    run = Process("run", "nightly.yaml", "--output", "quiet", cwd=place, env={"OTHER": unreachable, "FLOWQ_HOME": str(home)})
    until(lambda: "waiting up to 10s for 1 message about run " in run.err, timeout=20)
    if stops:
        run.signal(signal.SIGINT)
    assert run.wait() == 0
    assert "1 message about run " in run.err
    assert len(endpoint.asked) == 1
    assert time.monotonic() - begin < LONGEST
    run.end()


@pytest.mark.slow
def test_a_run_does_not_wait_long_for_an_address_that_hangs(home: Path, place: Path, endpoint: Endpoint) -> None:
    over = threading.Event()
    endpoint.before = over.wait
    run = flowq("run", "nightly.yaml", "--output", "quiet", cwd=place)
    ended = time.monotonic()
    over.set()
    assert (run.code, len(endpoint.asked)) == (0, 1)
    assert "1 message about run " in run.err
    assert ended - endpoint.asked[0].at < LONGEST - 3
    assert home.is_dir()


def test_a_notice_that_cannot_be_read_hides_no_others() -> None:
    notice = Notice(on=("failed",), to={"env": "OPS"})
    assert stored_notices(f"failed 1\n{notice.stored()}\nx y z - {{}}") == [notice]
