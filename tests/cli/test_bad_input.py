"""Broken servers, wrong files, odd terminals and large sizes: one sentence or output that fits, never a traceback."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from flowq.cli.render.styled_text import columns
from flowq.flows.actions.submit import submit
from flowq.store import Store
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker
from tests.cli.process import FLOWQ, Terminal, flowq, on_terminal
from tests.support.graphs import plan
from tests.support.server import PrivateServer
from tests.support.wait import until

READING = (
    ["status"],
    ["why", "job"],
    ["logs"],
    ["result", "@latest", "job"],
    ["runs"],
    ["graph"],
    ["cancel"],
    ["retry", "--failed"],
    ["doctor"],
    ["gc"],
    ["delete", "@latest"],
)


def sentence(outcome: object) -> str:
    """Return the message, which must be one line."""
    text: str = outcome.err or outcome.out  # type: ignore[attr-defined]
    assert "Traceback" not in text
    assert "flowq itself went wrong" not in text
    return text


# -- servers ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[PrivateServer]:
    """A server that a test may break."""
    private = PrivateServer()
    yield private
    private.stop()


@pytest.mark.parametrize(
    ("command", "given"),
    [
        (command.split(), given)
        for command in ("status", "worker", "worker -w flowq.SimpleWorker", "worker-pool", "serve .", "doctor")
        for given in ("-u", "-c", "flowq.toml", "FLOWQ_REDIS_URL")
        if given != "-c" or command.startswith("worker")  # others have no settings module
    ],
    ids=str,
)
def test_a_wrong_address_names_where_it_was_given(command: list[str], given: str, tmp_path: Path) -> None:
    """Also in a process to which the command hands the address on."""
    environment = {**os.environ, "FLOWQ_REDIS_URL": "redis://127.0.0.1:y"}
    source = given
    match given:
        case "-u":
            command = [*command, "-u", "redis://127.0.0.1:x"]
        case "-c":
            (tmp_path / "settings_of_queues.py").write_text("REDIS_URL = 'redis://127.0.0.1:x'\n")
            source = "settings_of_queues.py"
            command = [*command, "-c", source]
        case "flowq.toml":
            del environment["FLOWQ_REDIS_URL"]
            source = str(tmp_path / "flowq.toml")
            Path(source).write_text('url = "redis://127.0.0.1:x"\n')
        case _:
            environment["FLOWQ_REDIS_URL"] = "redis://127.0.0.1:x"
    outcome = flowq(*command, cwd=tmp_path, env=environment)
    shown = outcome.stdout + outcome.stderr
    assert f"'redis://127.0.0.1:x': the port must be a number from 1 to 65535 (from {source})" in " ".join(shown.split())


@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_a_wrong_password(cli: Cli, other: PrivateServer, command: list[str]) -> None:
    other.start("--requirepass", "right")
    for address in (f"unix://:wrong-secret@{other.socket}", other.url):
        outcome = cli("-u", address, *command)
        assert outcome.code == 6
        text = sentence(outcome)
        assert "password" in text
        assert "wrong-secret" not in text


@pytest.mark.parametrize("command", READING, ids=lambda words: words[0])
def test_a_replica(cli: Cli, other: PrivateServer, command: list[str]) -> None:
    other.start("--replicaof", "127.0.0.1", "1", "--replica-serve-stale-data", "yes")
    outcome = cli("-u", other.url, *command)
    assert outcome.code == 6
    assert "read-only" in sentence(outcome).lower() or "replica" in sentence(outcome).lower()


def test_a_server_that_loads_its_data(cli: Cli, other: PrivateServer) -> None:
    other.start()
    with other.client() as client:
        client.mset({f"key:{number}": os.urandom(4000) for number in range(40)})
        client.save()
    other.stop(keep=True)
    other._options = (
        "--dbfilename",
        "dump.rdb",
        "--key-load-delay",
        "100000",
        "--loading-process-events-interval-bytes",
        "1024",
    )
    other.restart(wait=False)

    def loading() -> bool:
        outcome = cli("-u", other.url, "status")
        return outcome.code == 6 and "loading" in sentence(outcome)

    until(loading, timeout=20, message="the server to say that it is loading")


def test_no_server_at_all(cli: Cli, tmp_path: Path) -> None:
    for command in READING:
        outcome = cli("-u", f"unix://{tmp_path}/missing", *command)
        assert outcome.code == 6
        assert sentence(outcome)


# -- files --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "plan", "graph"])
def test_a_directory_as_a_flow(cli: Cli, tmp_path: Path, command: str) -> None:
    (tmp_path / "flows").mkdir()
    outcome = cli(command, "flows")
    assert outcome.code == 3
    assert "is a directory" in outcome.out + outcome.err
    assert "Traceback" not in outcome.err


def test_a_directory_without_flows(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    outcome = cli("validate", "flows")
    assert outcome.code == 2
    assert sentence(outcome).startswith("error: flows has no flow files")


@pytest.mark.parametrize("command", ["run", "plan", "graph"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"jobs: [", b"\x00", b"- a\n"])
def test_files_that_are_not_flows(cli: Cli, tmp_path: Path, command: str, content: bytes) -> None:
    (tmp_path / "x.yaml").write_bytes(content)
    outcome = cli(command, "x.yaml")
    assert outcome.code == 3
    assert outcome.err.splitlines()[-1].startswith("error: x.yaml cannot run: ")


def test_a_graph_that_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("jobs: {a: {run: 'true'}}")
    outcome = cli("graph", "x.yaml", "--format", "svg", "-o", "no/such/folder.svg")
    assert outcome.code == 2
    assert outcome.err.startswith("error: cannot write 'no/such/folder.svg'")
    assert cli("graph", "x.yaml", "--gantt").code == 2
    assert cli("graph", "@latest", "-p", "a=b").code == 2


# -- terminals ----------------------------------------------------------------------------------------------------------------

FLOW = """
jobs:
  a-job-with-a-long-name: {run: "echo 'äöü €'; true"}
  cells: {matrix: {n: [1, 2, 3]}, depends_on: [a-job-with-a-long-name], run: "test ${{ matrix.n }} != 2"}
  end: {depends_on: [cells], run: "true"}
"""


def screen(child: Terminal) -> str:
    """Return all output of a command on its terminal."""
    child.expect(pexpect.EOF)
    child.close()
    return child.before or ""


@pytest.mark.parametrize("width", [20, 40])
def test_a_narrow_terminal(home: Path, tmp_path: Path, width: int) -> None:
    (tmp_path / "x.yaml").write_text(FLOW)
    env = {"FLOWQ_HOME": str(home)}
    child = on_terminal("run", "x.yaml", cwd=tmp_path, env=env, size=(12, width))
    text = screen(child)
    assert child.exitstatus == 1
    assert "\x1b[?25h" in text  # the cursor is shown again
    for command in (
        ["status"],
        ["why", "end"],
        ["graph"],
        ["graph", "--gantt"],
        ["plan", "x.yaml"],
        ["runs"],
        ["config"],
        ["doctor"],
    ):
        child = on_terminal(*command, cwd=tmp_path, env=env, size=(12, width))
        shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen(child)).splitlines()
        assert child.exitstatus == 0, (command, shown)
        assert all(columns(line) <= width for line in shown if "flowq " not in line), (command, shown)


def test_a_terminal_that_is_resized(home: Path, tmp_path: Path) -> None:
    """The next frame has the new width and height, and the run continues."""
    (tmp_path / "x.yaml").write_text(
        "jobs:\n  a-job-with-a-long-name: {run: 'while [ ! -e go ]; do sleep 0.05; done'}\n"
        + "".join(f"  waits-for-it-{number}: {{depends_on: [a-job-with-a-long-name], run: 'true'}}\n" for number in range(30))
    )
    child = on_terminal("run", "x.yaml", cwd=tmp_path, env={"FLOWQ_HOME": str(home)}, size=(24, 100))
    child.expect_exact("11 more")  # 31 rows on 24 lines: head, 20 rows, the count of the others, progress bar
    child.setwinsize(10, 40)
    child.expect_exact("25 more")
    child.expect_exact("0/31")
    (tmp_path / "go").touch()
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen(child)).splitlines()
    assert child.exitstatus == 0
    assert [line for line in shown if columns(line) > 40] == []


def test_a_terminal_without_utf_8(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(FLOW)
    env = {"FLOWQ_HOME": str(home), "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    text = screen(on_terminal("run", "x.yaml", cwd=tmp_path, env=env))
    assert "failed" in text
    for command in (["status"], ["why", "end"], ["graph"], ["graph", "--gantt"], ["plan", "x.yaml"], ["logs"]):
        text += screen(on_terminal(*command, cwd=tmp_path, env=env))
    assert text.isascii()
    assert "\\xe4\\xf6\\xfc" in text
    assert "Traceback" not in text


def test_colour_is_only_for_terminals_that_support_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("jobs: {a: {run: 'true'}}")
    env = {"FLOWQ_HOME": str(home)}
    screen(on_terminal("run", "x.yaml", cwd=tmp_path, env=env))
    assert "\x1b[32m" in screen(on_terminal("graph", cwd=tmp_path, env=env))
    for extra in ({"NO_COLOR": "1"}, {"CI": "true"}):
        assert "\x1b" not in screen(on_terminal("graph", cwd=tmp_path, env=env | extra))


@pytest.mark.parametrize(
    "command", [["status"], ["logs"], ["runs"], ["graph"], ["why", "j9"], ["status", "--json"]], ids=" ".join
)
def test_a_closed_pipe(store: Store, server: PrivateServer, namespace: str, tmp_path: Path, command: list[str]) -> None:
    submit(store, plan({f"j{number}": [] for number in range(3000)}), directory=tmp_path)
    environment = {**os.environ, "FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    line = f"{' '.join((*FLOWQ, *command))} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ("nothing was printed so far\n" if command == ["logs"] else "")
    assert done.returncode in {0, 141}


# -- sizes --------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_thousand_jobs(cli: Cli, store: Store, tmp_path: Path) -> None:
    """Every command that reads a run reads this one in a few seconds, also on a busy machine."""
    shape: dict[str, list[str]] = {"root": []}
    shape |= {f"w{number}": ["root"] for number in range(9_998)}
    shape["end"] = [f"w{number}" for number in range(9_998)]
    run = submit(store, plan(shape), directory=tmp_path)
    worker = HandWorker(store, "default")
    worker.fail(worker.claim(), "exit code 1")
    worker.close()
    begun = time.monotonic()
    assert "10000 jobs" in cli("status", run).out
    assert len(json.loads(cli("status", run, "--json").out)["jobs"]) == 10_000
    assert "root failed: exit code 1" in cli("why", run, "end").out
    assert cli("graph", run).out.count("\n") >= 10_000
    assert "would run again 10000 jobs" in cli("retry", run, "--failed", "--dry-run").out
    assert cli("status", run, "--junit", "x.xml").code == 0
    assert (tmp_path / "x.xml").read_text().count("<testcase") == 10_000
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("words", [[], ["run"], ["validate"], ["plan"], ["graph"], ["status"], ["logs"]])
def test_arguments_longer_than_names_can_be(words: list[str], home: Path, tmp_path: Path) -> None:
    done = flowq(*words, "a" * 300, cwd=tmp_path)
    assert done.returncode in {2, 3}  # wrong usage, or a flow that cannot be read
    assert "went wrong" not in done.stderr


@pytest.mark.parametrize("arguments", [["flow.yaml", "day=2026-01-31"], ["day=2026-01-31"]])
@pytest.mark.parametrize("command", ["run", "plan", "validate", "graph"])
def test_a_param_without_its_option(cli: Cli, tmp_path: Path, command: str, arguments: list[str]) -> None:
    (tmp_path / "flow.yaml").write_text("params: {day: {type: date}}\njobs: {a: {run: x}}\n")
    outcome = cli(command, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "params are given with -p, as in `-p day=2026-01-31`" in outcome.err


def test_a_word_for_help(cli: Cli) -> None:
    assert cli("help", "run") == cli("run", "--help")
    assert cli("help", "schedule", "list") == cli("schedule", "list", "--help")
    assert cli("help") == cli("--help")
    assert "there is no command 'nope'" in cli("help", "nope").err


def test_a_missing_choice_is_told_in_one_line(cli: Cli) -> None:
    assert cli("acl").err == (
        "error: Missing argument '{worker|submitter|viewer}'. Choose from: worker, submitter, viewer; see `flowq acl --help`\n"
    )
    assert "`-u redis://flowq-viewer:PASSWORD@HOST`" in cli("acl", "viewer").err
