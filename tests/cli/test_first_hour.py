"""What new users ran into with flows of their own: each is a real command, in the situation that it was typed in."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli import process

SALES = """
params: {regions: {type: list, default: [north, south]}}
jobs:
  list: {run: "echo '{\\"files\\": [\\"north.csv\\", {\\"path\\": \\"south.csv\\"}]}' >> $FLOWQ_OUTPUT"}
  work:
    depends_on: list
    foreach: jobs.list.result.files
    run: test "${{ index }}" = 0
  after: {depends_on: work, run: "true"}
"""


@pytest.fixture
def project(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert home.is_dir()
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def flowq(project: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return process.flowq(*arguments, cwd=project)


def test_the_item_of_a_failed_cell_is_shown(project: Path) -> None:
    (project / "flow.yaml").write_text(SALES)
    item = '{"path":"south.csv"}'
    assert f"work[1] failed: exit code 1  (flow.yaml:5, item {item})\n" in flowq(project, "run").stdout.replace('": "', '":"')
    assert f"its item is {item}\n" in flowq(project, "why", "after").stdout.replace('": "', '":"')
    assert f"item {item})" in flowq(project, "status", "--failed").stdout.replace('": "', '":"')


def test_a_long_item_is_cut(project: Path) -> None:
    (project / "flow.yaml").write_text(SALES.replace("south.csv", "s" * 300))
    assert "sss…)" in flowq(project, "run").stdout
    assert "sss…\n" in flowq(project, "why", "work[1]").stdout


def test_after_a_change_the_retry_that_is_suggested_takes_it(project: Path) -> None:
    (project / "flow.yaml").write_text("jobs: {a: {run: exti 0}}\n")
    assert "retry" in flowq(project, "run").stdout
    (project / "flow.yaml").write_text("jobs: {a: {run: exit 0}}\n")
    for command in (("status",), ("why", "a")):
        assert "--failed --reload  # with the present text of the flow" in flowq(project, *command).stdout
    suggested = flowq(project, "status").stdout.splitlines()[-1].split("#")[0].split()[1:]
    assert flowq(project, *suggested).returncode == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("floww.yaml", "did you mean flow.yaml?"),
        ("flow.yml", "there is flow.yaml"),
        ("flow", "there is flow.yaml"),
        ("nigthly.yaml", "did you mean nightly.yml?"),
        ("flows/dialy.yaml", "did you mean flows/daily.yaml?"),
        ("something-else.yaml", "check the path"),
        ("no-such-directory/flow.yaml", "check the path"),
    ],
)
def test_a_misspelt_file(project: Path, typed: str, said: str) -> None:
    (project / "flows").mkdir()
    for name in ("flow.yaml", "nightly.yml", "floww.txt", "flows/daily.yaml"):
        (project / name).write_text("jobs: {a: {run: 'true'}}\n")
    assert f"help: {said}\n" in flowq(project, "run", typed).stderr


def test_a_job_in_place_of_a_run(project: Path) -> None:
    done = flowq(project, "retry", "build")
    assert done.returncode == 2
    assert "for the job 'build' of the latest run: `flowq retry --job build`" in done.stderr
    assert "for the job" not in flowq(project, "retry").stderr


def test_a_directory_in_place_of_a_file(project: Path) -> None:
    (project / "sales").mkdir()
    assert "help: name the file in it\n" in flowq(project, "run", "sales").stderr
    (project / "sales" / "flow.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    assert "help: there is sales/flow.yaml\n" in flowq(project, "run", "sales").stderr


def test_messages_about_the_file_of_a_run_name_it_as_it_is_typed(project: Path) -> None:
    (project / "flow.yaml").write_text("params: {unused: {default: x}}\njobs: {a: {run: exit 1}}\n")
    for arguments in (("run",), ("retry", "--failed", "--reload"), ("run", "--again", "@latest")):
        assert flowq(project, *arguments).stderr.splitlines()[-1] == "flow.yaml: 1 warning (FQ702): flowq validate flow.yaml"
    (project / "below").mkdir()
    command = ("run", "--again", flowq(project, "runs", "--json").stdout.split('"id": "')[1][:8])
    assert f"{project}/flow.yaml: 1 warning" in flowq(project / "below", *command).stderr


def test_warnings_are_shown_while_params_have_no_value(project: Path) -> None:
    (project / "flow.yaml").write_text(
        "params: {version: {}, day: {type: date}, unused: {default: x}}\njobs: {a: {run: 'true'}}\n"
    )
    done = flowq(project, "validate")
    assert "warning[FQ702]: nothing uses the param `unused`" in done.stdout
    assert done.stdout.endswith("flow.yaml: valid; a run needs -p version=… -p day=…\n")
    (project / "flow.yaml").write_text("params: {version: {}}\njobs: {a: {run: 'echo ${{ params.verzion }}'}}\n")
    assert "FQ702" not in flowq(project, "validate").stdout, "a mistake comes first"


def test_a_wrong_type_is_one_mistake(project: Path) -> None:
    text = "params: {keep: {type: int, default: 3}}\njobs: {a: {run: 'echo $((${{ params.keep }} + 1))'}}\n"
    (project / "flow.yaml").write_text(text)
    done = flowq(project, "run")
    assert "did you mean integer?" in done.stderr
    assert "cannot run: 1 error" in done.stderr


def test_arithmetic_is_for_the_script(project: Path) -> None:
    text = "params: {keep: {type: integer, default: 3}}\njobs: {a: {run: 'echo ${{ params.keep + 1 }}'}}\n"
    (project / "flow.yaml").write_text(text)
    assert "or in the script, $((${{ params.n }} + 1)) of a number" in flowq(project, "run").stderr
    (project / "flow.yaml").write_text(text.replace("${{ params.keep + 1 }}", "$((${{ params.keep }} + 1))"))
    assert "a | 4\n" in flowq(project, "run").stdout


def test_runs_says_what_was_not_executed(project: Path) -> None:
    text = "jobs: {a: {run: 'true'}, b: {run: 'true', if: 1 > 2}}\non_failure: {tell: {run: 'true'}}\n"
    (project / "flow.yaml").write_text(text)
    flowq(project, "run")
    (project / "sales.yaml").write_text(SALES)
    flowq(project, "run", "sales.yaml", "--until", "list")
    head, *rows = flowq(project, "runs").stdout.splitlines()
    jobs = slice(head.index("JOBS"), head.index("PARAMS"))
    assert [row[jobs].strip() for row in rows] == ["1/1", "1/2, 1 skipped"]


def test_why_of_a_job_that_finished_says_how_long_it_took(project: Path) -> None:
    (project / "flow.yaml").write_text("jobs: {a: {run: 'true'}, all: {depends_on: a}}\n")
    flowq(project, "run")
    assert "✔ a finished: it took " in flowq(project, "why", "a").stdout
    assert "finished: finished" not in flowq(project, "why", "all").stdout


def test_a_run_that_its_group_turned_away_says_so(project: Path) -> None:
    text = "concurrency: {group: one, on_conflict: skip}\njobs: {a: {run: 'until test -e go; do sleep 0.05; done'}}\n"
    (project / "flow.yaml").write_text(text)
    first = flowq(project, "run", "--detach", "--run-id", "first").stdout.split()[0]
    try:
        turned_away = flowq(project, "run")
        assert turned_away.returncode == 7
        assert "skipped   a  the concurrency group is full\n" in turned_away.stdout
        assert "  skipped" in turned_away.stdout
        assert "its concurrency group was held by run first\n" in turned_away.stdout
        listed = json.loads(flowq(project, "runs", "--status", "skipped", "--json").stdout)
        assert [run["turned_away_by"] for run in listed] == ["first"]
        refused = flowq(project, "retry", listed[0]["id"], "--failed")
        assert refused.returncode == 2
        assert "it was skipped, because run first held its concurrency group" in refused.stderr
    finally:
        (project / "go").touch()
        flowq(project, "status", first, "--watch")
