"""Real horses: results, failures, output, and the environment of a job."""

import json
import os
import pickle
import re
import signal
from pathlib import Path

import pytest

from flowq.worker.ipc.platform import PACKAGE
from tests.support.supervisor_stub import MODULES, Stand, call, task

# -- success


def test_a_value_comes_back_as_json(stand: Stand) -> None:
    value = {"a": [1, 2.5, None, True, "ü\n"], "b": {}}
    execution = stand.run(call("echo", value))
    assert execution.outcome == {
        "outcome": "finished",
        "value": '{"a":[1,2.5,null,true,"ü\\n"],"b":{}}'.encode(),
        "exit_code": 0,
    }


def test_tuples_dates_and_enums_become_json(stand: Stand) -> None:
    value = stand.run(call("values")).outcome["value"]
    assert value == b'{"tuple":[1,2],"date":"2026-01-31","at":"2026-01-31T06:00:00","color":"red"}'


def test_coroutines_and_dotted_attributes(stand: Stand) -> None:
    assert stand.run(call("later", 7)).outcome["value"] == b"7"
    assert stand.run(call("Maker.make", 1)).outcome["value"] == b'{"made":1}'


def test_a_pickled_call_returns_a_pickle(stand: Stand) -> None:
    payload = pickle.dumps(("process_jobs.Maker.make", (5,), {}))
    outcome = stand.run(task("pickle", payload=payload, path=[MODULES])).outcome
    assert pickle.loads(outcome["value"]) == {"made": 5}  # noqa: S301 - made above
    assert stand.run(task("pickle", payload=pickle.dumps(("len", ([1, 2],), {})))).outcome["value"] == pickle.dumps(
        2, protocol=5
    )


def test_a_returned_retry_is_an_outcome_of_its_own(stand: Stand) -> None:
    assert stand.run(call("retry_me")).outcome == {"outcome": "retry", "max": 3, "intervals": [1.0, 2.0], "at_front": False}


def test_a_large_result_fits_through(stand: Stand) -> None:
    execution = stand.run(call("echo", "x" * 6_000_000, limit=8 << 20))
    assert len(execution.outcome["value"]) == 6_000_002


# -- invalid results


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nan", r"result\.x\[0\] is nan"),
        ("set", r"result\.a\.b is a set; results of a flow's jobs are JSON"),
        ("key", r"result has the key 1, a int"),
        ("bytes", r"result is a bytes"),
        ("huge", r"result is an integer of more than 4000 digits"),
        ("big", r"the result has 2,097,154 bytes, the limit is 1,048,576"),
        ("surrogate", r"not valid Unicode"),
        ("deep", r"nested deeper than 100"),
    ],
)
def test_invalid_results_are_reported_with_type_and_path(stand: Stand, name: str, message: str) -> None:
    outcome = stand.run(call("returns", name)).outcome
    assert (outcome["outcome"], outcome["reason"]) == ("failed", "invalid_result")
    assert re.search(message, outcome["error"]), outcome["error"]


# -- failure


def test_a_traceback_shows_the_users_frames_only(stand: Stand) -> None:
    outcome = stand.run(call("fail", "no luck today")).outcome
    assert outcome["reason"] == "error"
    assert outcome["exception"] == "process_jobs.Failing"
    lines = outcome["error"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{MODULES}/process_jobs.py", line ')
    assert lines[-1] == "process_jobs.Failing: no luck today"
    assert [line for line in lines if line.startswith("  File ")] == [lines[1]]
    assert f"{PACKAGE}/" not in outcome["error"]


def test_errors_that_cannot_be_shown_are_named(stand: Stand) -> None:
    assert "Broken" in stand.run(call("fail_badly")).outcome["error"]
    assert "RecursionError" in stand.run(call("recurse")).outcome["error"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"module": "no_such_module"}, "No module named 'no_such_module'"),
        ({"attribute": "no_such_function"}, "process_jobs.py) has no 'no_such_function'"),
        ({"attribute": "Maker.nothing"}, "has no 'Maker.nothing'"),
        ({"attribute": "os.name"}, "process_jobs.os.name is a str, not something that can be called"),
    ],
)
def test_a_missing_callable(stand: Stand, fields: dict[str, str], message: str) -> None:
    outcome = stand.run(call("noop") | fields).outcome
    assert outcome["reason"] == "error"
    assert message in outcome["error"]


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 3), (None, 0), ("bye", 1)])
def test_sys_exit_is_a_failure_whatever_the_code(stand: Stand, code: object, expected: int) -> None:
    outcome = stand.run(call("leave", code)).outcome
    assert (outcome["outcome"], outcome["reason"], outcome["exit_code"]) == ("failed", "error", expected)


def test_an_exit_without_a_result_is_a_failure(stand: Stand) -> None:
    outcome = stand.run(call("leave_hard", 0)).outcome
    assert (outcome["outcome"], outcome["reason"]) == ("failed", "killed")
    assert "exited with code 0 without a result" in outcome["error"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGBUS])
def test_death_by_signal_names_the_signal(stand: Stand, number: signal.Signals) -> None:
    outcome = stand.run(call("kill_me", int(number))).outcome
    assert outcome["reason"] == "killed"
    assert number.name in outcome["error"]
    assert outcome["exit_code"] == 128 + number
    assert ("out of memory" in outcome["error"]) == (number == signal.SIGKILL)


def test_a_segfault_is_a_failure(stand: Stand) -> None:
    assert "SIGSEGV" in stand.run(call("segfault")).outcome["error"]


# -- the environment of the job


def test_output_is_captured_by_stream(stand: Stand) -> None:
    assert stand.run(call("say", "one\ntwo ü\n")).output() == "one\ntwo ü\n".encode()
    assert stand.run(call("say", "oops\n", "stderr")).output("err") == b"oops\n"
    assert stand.run(call("say", "no newline")).output() == b"no newline"


def test_long_lines_are_split_without_loss(stand: Stand) -> None:
    execution = stand.run(call("say_bytes", 300_000, False))
    assert execution.output() == b"x" * 300_000
    assert max(len(data) for _, data in execution.logs) <= 64 * 1024


def test_a_job_has_its_identity_and_its_directory(stand: Stand, tmp_path: Path) -> None:
    names = [
        "FLOWQ_JOB_ID",
        "FLOWQ_JOB_NAME",
        "FLOWQ_RUN_ID",
        "FLOWQ_ATTEMPT",
        "FLOWQ_EXECUTION",
        "FLOWQ_IDEMPOTENCY_KEY",
        "OWN",
    ]
    execution = stand.run(call("environment", *names, attempt=2, execution=5, env={"OWN": "x"}))
    assert execution.outcome["value"] == (
        b'{"FLOWQ_JOB_ID":"r-1","FLOWQ_JOB_NAME":"job","FLOWQ_RUN_ID":"r","FLOWQ_ATTEMPT":"2","FLOWQ_EXECUTION":"5",'
        b'"FLOWQ_IDEMPOTENCY_KEY":"r-1","OWN":"x"}'
    )
    where = stand.run(call("where", cwd=str(tmp_path))).outcome["value"]
    assert where == b'{"cwd":"%s","stdin":"","leader":true}' % os.fsencode(tmp_path.resolve())
    assert stand.run(call("current_job_id")).outcome["value"] == b'"r-1"'


@pytest.mark.parametrize(
    ("home", "said"), [(None, ""), ("/no/such", "; `code: ship` in "), ("/", "; `workdir` of the job names it: ")]
)
def test_a_missing_directory(stand: Stand, home: str | None, said: str) -> None:
    more = {} if home is None else {"run": "r", "home": home}
    error = stand.run(call("noop", cwd="/no/such/place", **more)).outcome["error"]
    assert error.startswith(f"the job's directory /no/such/place cannot be entered: No such file or directory{said}")
    assert ("code: ship" in error, "workdir" in error) == (home == "/no/such", home == "/")


def test_horses_import_nothing_heavy() -> None:
    # A stand of its own, and no module of the tests: process_jobs imports asyncio and with it most of the library.
    with Stand() as alone:
        names = task("call", module="builtins", attribute="eval", args=["sorted(__import__('sys').modules)"], kwargs={})
        found = set(json.loads(alone.run(names).outcome["value"]))
    assert "flowq.worker.horse.horse" in found
    heavy = {"redis", "flowq.store", "flowq.job", "yaml", "typing", "dataclasses", "inspect", "asyncio", "logging", "socket"}
    assert found & heavy == set()


def test_horses_inherit_no_descriptors(stand: Stand) -> None:
    first = stand.run(call("descriptors")).outcome["value"]
    for _ in range(3):
        assert stand.run(call("descriptors")).outcome["value"] == first


def test_many_jobs_leak_nothing(stand: Stand) -> None:
    stand.run(call("noop"))
    mine = sorted(os.listdir("/proc/self/fd"))
    theirs = sorted(os.listdir(f"/proc/{stand.fork_server.pid}/fd"))
    for _ in range(20):
        stand.run(call("say", "x\n"))
    stand.turn(lambda: sorted(os.listdir(f"/proc/{stand.fork_server.pid}/fd")) == theirs)
    assert len(os.listdir("/proc/self/fd")) <= len(mine) + 1  # the socket of the spare horse may be open


def test_a_clone_keeps_the_state_of_the_caller() -> None:
    payload = pickle.dumps((f"{__name__}.only_here", (20,), {}))
    with Stand(clone=True) as stand:
        execution = stand.run(task("pickle", payload=payload))
    assert pickle.loads(execution.outcome["value"]) == (22, "patched")  # noqa: S301 - made above
    assert execution.output() == b"printed by a clone\n"


SETTING = "plain"


def only_here(number: int) -> tuple[int, str]:
    print("printed by a clone")  # noqa: T201
    return number + 2, SETTING


@pytest.fixture(autouse=True)
def _patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SETTING", "patched")
