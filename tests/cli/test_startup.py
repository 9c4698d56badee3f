"""The group: help, imports, and the boundary that turns errors into messages and exit codes."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.cli.main import COMMANDS, LazyGroup, cli, run
from flowq.exceptions import FlowqError, InvalidFlowError, NoSuchRunError, ServerUnavailableError
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.support.graphs import plan
from tests.support.server import PrivateServer

HEAVY = {
    "redis",
    "yaml",
    "jsonschema",
    "jsonschema_rs",
    "networkx",
    "rich",
    "asyncio",
    "flowq.store",
    "flowq.compiler",
    "hiredis",
}


def imported_by(*arguments: str, call: str = "flowq.cli.main import run") -> set[str]:
    """Return the modules that a `flowq` process has imported at its end. `call`: the function that runs the arguments."""
    code = (
        "import sys, json, atexit, contextlib\n"
        f"from {call} as begin\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        f"with contextlib.suppress(SystemExit): begin({'' if call.endswith('main') else 'sys.argv[1:]'})\n"
        "sys.stdout.flush()\n"
        "sys.stderr.write('\\n@' + json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr.rpartition("@")[2]))


@pytest.mark.parametrize("arguments", [["--help"], ["no-such-command"], ["--version"]])
def test_start_up_is_light(arguments: list[str]) -> None:
    assert not HEAVY & imported_by(*arguments)


@pytest.mark.parametrize("arguments", [[], ["server"]])
def test_a_group_alone_shows_its_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("Usage: flowq ")
    assert captured.err == ""


def test_validate_needs_no_server() -> None:
    assert not {"redis", "rich"} & imported_by("validate", "no-such-file.yaml")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("flowq.cli.main import main", ["runs"]),
        ("flowq.cli.main import main", ["run", "flow.yaml", "--detach"]),
        ("flowq.worker.main import main", ["--burst"]),
    ],
    ids=["runs", "run", "worker"],
)
def test_of_the_client_only_what_is_used_is_imported(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, call: str, arguments: list[str]
) -> None:
    """redis-py would import OpenTelemetry where it is installed, as here, and its client for asyncio, in every process."""
    assert importlib.util.find_spec("opentelemetry.sdk.metrics")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text("jobs: {a: {run: x}}")
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    imported = imported_by(*arguments, call=call)
    assert "redis" in imported
    assert not {name for name in imported if name.startswith(("opentelemetry", "redis.asyncio"))}


WANTED = [
    "import redis.asyncio.client",
    "pass",
    "from redis.asyncio.observability import recorder",
    "from redis import asyncio",
]


@pytest.mark.parametrize("first", WANTED)
def test_what_is_left_out_is_there_for_those_who_ask(first: str) -> None:
    code = f"""
from flowq.connections.imports import import_less
import sys
import_less()
import redis
assert not [name for name in sys.modules if name.startswith("redis.asyncio")]
{first}
assert redis.asyncio.Redis is redis.asyncio.client.Redis
assert redis.asyncio is sys.modules["redis.asyncio"]
assert redis.asyncio.observability.recorder
assert not hasattr(redis, "no_such_name")
import opentelemetry.sdk.metrics
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_a_client_that_needs_what_is_left_out_gets_it(tmp_path: Path) -> None:
    package = tmp_path / "redis"
    (package / "asyncio").mkdir(parents=True)
    (package / "__init__.py").write_text("from redis.asyncio import Client\n")
    (package / "asyncio" / "__init__.py").write_text("class Client: pass\n")
    code = "from flowq.connections.imports import import_less; import_less(); import redis; assert redis.Client is redis.asyncio.Client"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, timeout=60, check=True)


def test_jsonschema_is_imported_only_for_errors(tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text("jobs: {a: {run: x}}")
    assert {"jsonschema", "jsonschema_rs", "networkx"} & imported_by("validate", str(flow)) == {"jsonschema_rs"}
    flow.write_text("jobs: {a: {rum: x}}")
    assert "jsonschema" in imported_by("validate", str(flow))


def test_help_lists_every_command_with_its_own_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = capsys.readouterr().out
    group = cli
    assert isinstance(group, LazyGroup)
    context = group.make_context("flowq", ["version"])
    for name, line in COMMANDS.items():
        assert line in text
        command = group.get_command(context, name)
        assert command is not None
        assert (command.help or "").split("\n")[0] == line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"Usage: flowq {name}" in text
    assert f"Example: flowq {name}" in text


def test_the_error_for_a_mistyped_command_suggests_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stauts"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: there is no command 'stauts'; did you mean `flowq status`?; see `flowq --help`\n"
    assert run(["explain"]) == 2
    assert "`flowq why JOB` explains" in capsys.readouterr().err, "not the command whose name is nearest"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "--nope"],
        ["run"],
        ["run", "x", "-p", "novalue"],
        ["run", "x", "-p", "a=1", "-p", "a=2"],
        ["resume", "--detach"],
        ["delete"],
        ["runs", "--limit", "-1"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert "--help`" in captured.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (NoSuchRunError("no run"), 2, "error: no run\n"),
        (InvalidFlowError("bad flow"), 3, "error: bad flow\n"),
        (ServerUnavailableError("no server"), 6, "error: no server\n"),
        (FlowqError("with \x1b[2J"), 2, "error: with \\x1b[2J\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
        (SystemExit(4), 4, ""),
        (ZeroDivisionError("oh"), 70, "error: internal error in flowq (ZeroDivisionError: oh); this is a bug."),
    ],
)
def test_the_boundary(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.delenv("FLOWQ_DEBUG", raising=False)
    monkeypatch.setattr(cli, "invoke", fail)
    assert run(["version"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(said)
    assert "Traceback" not in captured.err
    if code == 70:
        monkeypatch.setenv("FLOWQ_DEBUG", "1")
        run(["version"])
        assert "Traceback" in capsys.readouterr().err


def test_an_unreachable_server_is_reported_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["-u", "redis://127.0.0.1:1", "status"], ["status", "-u", "redis://127.0.0.1:1"]):
        assert run(arguments) == 6
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
    assert run(["-u", "nonsense://x", "status"]) == 2


def test_a_deleted_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run(["status"]) == 2
    assert "the working directory does not exist any more" in capsys.readouterr().err
    assert run(["--help"]) == 0


def test_values_that_are_not_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "x.yaml", "-p", "name=\udcff"]) == 2
    assert "expected UTF-8 text" in capsys.readouterr().err


def test_a_closed_pipe_is_not_an_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        command = [sys.executable, "-m", "flowq.cli.main", "--help"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode == 141


def test_characters_that_a_terminal_cannot_show_are_escaped() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    code = "from flowq.cli.main import run; run(['snowman-\\u2603'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert "\\u2603" in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["version"]) == 0
    assert capsys.readouterr().out.startswith("flowq 0.")
    assert run(["version", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"flowq", "python", "platform"}


@pytest.mark.parametrize(
    "command", [["status"], ["runs"], ["why", "j"], ["logs"], ["retry", "--failed", "--dry-run"]], ids=" ".join
)
def test_commands_that_read_a_run_stay_light(
    command: list[str], store: Store, server: PrivateServer, namespace: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", server.url)
    monkeypatch.setenv("FLOWQ_NAMESPACE", namespace)
    monkeypatch.chdir(tmp_path)
    store.runs.cancel(submit(store, plan({"j": []}), directory=tmp_path))
    assert not {"yaml", "jsonschema", "jsonschema_rs", "networkx", "rich", "flowq.compiler"} & imported_by(*command)
