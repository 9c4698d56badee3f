"""Which run and which job the arguments of commands name, and whose runs commands may change."""

import json
from pathlib import Path

import pytest

from flowq.cli.main import COMMANDS, GROUPS
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.plan import Cell, Plan
from flowq.store import Store
from tests.cli import samples
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker


@pytest.fixture
def elsewhere(store: Store, cli: Cli) -> str:
    """A run of another directory."""
    assert callable(cli)
    return submit(store, samples.report_plan(), directory="/elsewhere", run_id="zzzzzzzz")


# -- RUN and JOB --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("list-files",),
        ("{run}", "list-files"),
        ("@latest", "list-files"),
        ("7k2", "list-files"),
        ("{run}-0",),
        ("{run}", "{run}-0"),
    ],
)
def test_one_rule_for_run_and_job(cli: Cli, report: str, worker: HandWorker, arguments: tuple[str, ...]) -> None:
    claim = worker.claim()
    worker.print(claim, "one\n")
    worker.finish(claim, b"[1]")
    words = [word.format(run=report) for word in arguments]
    assert cli("logs", *words).out == "one\n"
    assert json.loads(cli("result", *words).out) == [1]
    assert cli("why", *words).out.startswith("✔ list-files finished")


def test_a_single_argument(cli: Cli, store: Store, report: str, worker: HandWorker, tmp_path: Path) -> None:
    claim = worker.claim()
    worker.print(claim, "one\n")
    worker.finish(claim)
    assert cli("logs", "7k2").out == "list-files | one\n", "a prefix of a run's id"
    assert cli("logs", report.upper()).out == "list-files | one\n"
    assert cli("logs").out == "list-files | one\n"
    other = submit(store, samples.report_plan(), directory=tmp_path, run_id="fetch123")
    assert cli("why", "fetch").out.startswith("· fetch waiting"), "a job of the latest run comes before a prefix"
    assert cli("logs", "fetch1").out == ""
    assert "say which job of run fetch123" in cli("why", "fetch123").err
    assert "its jobs: list-files, fetch, build, spellcheck" in cli("result").err
    assert other == "fetch123"


def test_why_of_a_run_is_about_the_job_that_failed(cli: Cli, store: Store, worker: HandWorker, tmp_path: Path) -> None:
    made = compile_text("jobs: {a: {run: x}, b: {depends_on: a, run: x}, c: {depends_on: b, run: x}}").plan
    assert made is not None
    run = submit(store, made, directory=tmp_path)
    worker.finish(worker.claim())
    worker.fail(worker.claim(), "boom")
    assert cli("why").out == cli("why", run).out == cli("why", run, "b").out
    assert "boom" in cli("why").out
    assert "its jobs: a, b, c" in cli("result", run).err


@pytest.mark.parametrize(("text", "told"), [("matrix: {n: [1, 2]}", ""), ("run: x}, d: {run: x", "; failed: a, d\n")])
def test_why_of_a_run_with_several_failures(
    cli: Cli, store: Store, worker: HandWorker, tmp_path: Path, text: str, told: str
) -> None:
    """The cells of a matrix are one job."""
    made = compile_text(f"jobs: {{a: {{{text}{'' if 'run' in text else ', run: x'}}}, b: {{depends_on: a, run: x}}}}").plan
    assert made is not None
    submit(store, made, directory=tmp_path)
    for _ in range(2):
        worker.fail(worker.claim(), "boom")
    outcome = cli("why")
    assert "2 of 2 cells failed" in outcome.out if not told else outcome.err.endswith(told)


def test_a_job_of_another_flow_of_the_directory(
    cli: Cli, store: Store, report: str, worker: HandWorker, tmp_path: Path
) -> None:
    """A directory that is served has many flows: the latest run is often one of another flow."""
    claim = worker.claim()
    worker.print(claim, "one\n")
    worker.finish(claim)
    hourly = compile_text("name: hourly\njobs: {count: {run: 'true'}}\n").plan
    assert hourly is not None
    submit(store, hourly, directory=tmp_path, run_id="hourly01")
    submit(store, hourly, directory=tmp_path, run_id="hourly02")
    read = cli("logs", "list-files")
    assert (read.code, read.out) == (0, "one\n")
    assert (
        read.err
        == f"run hourly02, the latest of this directory, has no job 'list-files': this is run {report} of nightly-report\n"
    )
    assert cli("why", "count").err == "", "the latest run comes first"
    refused = cli("approve", "build", "--comment", "well")
    assert (refused.code, refused.out) == (2, "")
    assert f"run {report} of nightly-report has it: `flowq approve {report} build`\n" in refused.err
    assert "has no job 'nothing'; its jobs: count" in cli("logs", "nothing").err


@pytest.mark.parametrize("command", ["status", "logs", "cancel", "graph", "delete"])
def test_a_flow_where_a_run_is_expected(cli: Cli, report: str, command: str) -> None:
    """The name of the flow or of its file: the error has the run that may be meant."""
    for word in ("nightly-report", "nightly.yaml"):
        if command == "graph" and word.endswith(".yaml"):
            continue  # a file, which is not there
        refused = cli(command, word)
        assert refused.code == 2
        assert refused.err.endswith(f"; the latest run of flow nightly-report is {report}\n"), refused.err
    assert "latest run of flow" not in cli(command, "nightly").err


def test_a_job_where_a_run_is_expected(cli: Cli, report: str) -> None:
    hint = f"a job of run {report} has that name: `flowq why build`, `flowq logs build`"
    for command in ("status", "cancel", "delete"):
        assert cli(command, "build").err == f"error: no run with the id 'build'; {hint}\n"
    assert cli("status", "nothing").err == "error: no run with the id 'nothing': `flowq runs` lists them all\n"


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("list-file", "run 7k2m9x0d has no job 'list-file'; did you mean 'list-files'?"),
        ("biuld", "did you mean 'build'? and no run's id begins with 'biuld'"),
        ("build[fmt=pdf", "run 7k2m9x0d has no job 'build[fmt=pdf'; did you mean 'build[fmt="),
        ("", "has no job ''"),
        ("@7", "there is no run @7: there are only 1 in this directory"),
    ],
)
def test_a_single_argument_that_names_nothing(cli: Cli, report: str, word: str, said: str) -> None:
    assert report
    for command in ("logs", "why", "result", "approve"):
        outcome = cli(command, word)
        assert outcome.code == 2
        assert said in outcome.err.replace("; and", " and"), outcome.err


def test_a_prefix_that_fits_two_runs(cli: Cli, store: Store, report: str, tmp_path: Path) -> None:
    submit(store, samples.report_plan(), directory=tmp_path, run_id="7kaaaaaa")
    outcome = cli("logs", "7k")
    assert outcome.code == 2
    assert f"'7k' fits several runs: `flowq logs {report}`, `flowq logs 7kaaaaaa`" in outcome.err


def test_a_run_with_one_job_needs_no_name_of_it(cli: Cli, store: Store, tmp_path: Path) -> None:
    plan = Plan(name="one", nodes=(samples.node("only", 1),), cells=(Cell(0, "only", 0),))
    run = submit(store, plan, directory=tmp_path)
    for words in ((), (run,), ("only",)):
        assert cli("why", *words).out.startswith("○ only queued")


# -- other directories --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("cancel",),
        ("cancel", "@latest"),
        ("stop",),
        ("retry", "--failed"),
        ("retry", "@latest", "--failed"),
        ("retry", "--job", "fetch"),
        ("approve",),
        ("approve", "@latest", "fetch"),
        ("approve", "fetch"),
        ("delete", "@latest"),
        ("run", "--again", "@latest"),
        ("run", "--resume", "@latest"),
        ("resume", "@latest"),
    ],
)
def test_commands_that_change_something_stay_in_this_directory(
    cli: Cli, store: Store, elsewhere: str, arguments: tuple[str, ...]
) -> None:
    outcome = cli(*arguments)
    assert outcome.code == 2
    assert "this directory" in outcome.err or "no run" in outcome.err
    assert outcome.out == ""
    assert store.runs.require(elsewhere).status == "running"


def test_the_error_names_the_run_that_may_be_meant(cli: Cli, store: Store, elsewhere: str) -> None:
    assert f"the latest elsewhere is {elsewhere} (nightly-report) in /elsewhere: to mean it, give its id" in cli("cancel").err
    assert cli("cancel", elsewhere).code == 0
    assert store.runs.require(elsewhere).status == "canceled"
    assert f"the latest elsewhere is {elsewhere}" in cli("retry", "--failed").err


def test_a_job_that_only_a_run_elsewhere_could_have(cli: Cli, elsewhere: str) -> None:
    said = f"no run with the id 'ask', and no run was started in this directory; the latest elsewhere is {elsewhere} "
    assert said in cli("approve", "ask").err
    read = cli("why", "nothing").err
    assert f"this is run {elsewhere} of nightly-report in /elsewhere\nerror: run {elsewhere} has no job 'nothing'" in read


@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "@latest"), ("logs",), ("why", "fetch"), ("status", "--json"), ("graph",)]
)
def test_commands_that_read_say_whose_run_it_is(cli: Cli, elsewhere: str, report: str, arguments: tuple[str, ...]) -> None:
    assert "no run was started" not in cli(*arguments).err, "there is one of this directory"
    Path("below").mkdir()
    outcome = None
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("below")
        outcome = cli(*arguments)
    assert outcome.code == 0
    latest = report if report in outcome.err else elsewhere
    assert f"no run was started in this directory: this is run {latest} of nightly-report in " in outcome.err
    assert outcome.err.count("no run was started") == 1


@pytest.mark.parametrize("command", ["logs", "why", "result"])
def test_the_beginning_of_an_id_elsewhere_is_told(cli: Cli, elsewhere: str, report: str, command: str) -> None:
    """What was meant may be a misspelt job of this directory."""
    said = f"z is the beginning of run {elsewhere} of nightly-report in /elsewhere\n"
    assert said in cli(command, "z").err
    assert "is the beginning of" not in cli(command, report[:3]).err
    assert "is the beginning of" not in cli(command, elsewhere).err


# -- names of commands --------------------------------------------------------------------------------------------------------


def test_every_command_is_in_one_group() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMMANDS)


def test_help_is_in_groups(cli: Cli) -> None:
    text = cli("--help").out
    places = [text.index(f"\n{title}:\n") for title in GROUPS]
    assert places == sorted(places)
    for name, line in COMMANDS.items():
        assert f"\n  {name} " in text
        assert line in " ".join(text.split())


@pytest.mark.parametrize("word", ["ps", "stop", "lint", "check", "watch", "rm", "log"])
def test_names_from_other_tools_work(cli: Cli, word: str) -> None:
    outcome = cli(word, "--help")
    assert outcome.code == 0
    assert "Usage: flowq " in outcome.out


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("rerun", "`flowq retry --failed` runs the failed part of a run again"),
        ("ls", "`flowq list` lists flows, `flowq runs` lists runs"),
        ("kill", "`flowq cancel RUN` ends a run"),
        ("start", "`flowq run FILE` runs a flow"),
    ],
)
def test_names_that_may_mean_several_commands(cli: Cli, word: str, said: str) -> None:
    outcome = cli(word)
    assert outcome.code == 2
    assert said in outcome.err


def test_synonyms_do_what_they_stand_for(cli: Cli, report: str, tmp_path: Path) -> None:
    assert report in cli("ps").out
    assert f"canceling run {report}" in cli("stop").out
    assert cli("watch", report).code == 0
    assert f"deleted run {report}" in cli("rm", report).out
    (tmp_path / "good.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    assert "good.yaml: valid" in cli("lint", "good.yaml").out


def test_resume_without_a_run_is_for_workers(cli: Cli, store: Store) -> None:
    store.queues.suspend(None)
    assert cli("resume").out == "workers resumed\n"
    outcome = cli("resume", "--detach")
    assert outcome.code == 2
    assert "are for a RUN" in outcome.err
