"""flowq in CI: the examples of docs/ci.md, step by step, and annotations."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.cli.process import Process
from tests.flows.junit_schema import problems

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """Return the code block of the page that begins with this file's name."""
    found = re.search(rf"^```yaml\n# {re.escape(name)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/ci.md has no block {name}"
    return found[1]


@pytest.fixture
def checkout(home: Path, tmp_path: Path) -> Path:
    """A checkout with the page's flow; `home` stops the server at the end."""
    (tmp_path / "pipeline.yaml").write_text(block("pipeline.yaml"))
    return tmp_path


@pytest.fixture
def shell(checkout: Path, home: Path) -> "Shell":
    return Shell(checkout, home)


class Shell:
    """A runner of the commands of a CI file."""

    def __init__(self, checkout: Path, home: Path) -> None:
        self.checkout = checkout
        bin_dir = str(Path(sys.executable).parent)
        self.env = {**os.environ, "FLOWQ_HOME": str(home), "CI": "true", "PATH": f"{bin_dir}:{os.environ['PATH']}"}

    def __call__(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=self.checkout,
            env={**self.env, **env},
            capture_output=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )  # decoded here: text mode would turn the \r of the markers into line ends
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def cases(path: Path) -> dict[str, list[str]]:
    """Return the kinds of the children of each test case, after checking the report against the schema."""
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    assert problems(root) == []
    return {str(case.get("name")): [child.tag for child in case] for case in root.iter("testcase")}


def test_the_github_workflow(shell: Shell, checkout: Path) -> None:
    document: dict[str, Any] = yaml.safe_load(block(".github/workflows/ci.yaml"))
    job = document["jobs"]["pipeline"]
    assert "FLOWQ_HOME" in job["env"]
    run, again, picture, verdict = [step for step in job["steps"] if "run" in step][1:]
    first = shell(run["run"], GITHUB_SHA="abc123", GITHUB_WORKSPACE=str(checkout))
    assert first.returncode == 1, first.stderr
    assert run["continue-on-error"]
    assert again["if"] == f"steps.{run['id']}.outcome == 'failure'"
    assert "\n::group::✖ unit[part=web] failed" in first.stdout
    assert "\n::error file=pipeline.yaml,line=7,title=unit[part=web] failed::exit code 1\n" in first.stdout
    assert cases(checkout / "report.xml")["unit[part=web]"] == ["failure", "system-out"]
    second = shell(again["run"], GITHUB_WORKSPACE=str(checkout))
    assert second.returncode == 0, second.stderr
    assert "::error" not in second.stdout
    assert cases(checkout / "report.xml") == {name: [] for name in ("lint", "unit[part=core]", "unit[part=web]", "package")}
    summary = checkout / "summary.md"
    assert shell(picture["run"], GITHUB_STEP_SUMMARY=str(summary)).returncode == 0
    assert summary.read_text().startswith("flowchart LR")
    assert shell(verdict["run"]).returncode == 0
    assert "abc123" in shell("flowq runs --json").stdout


def test_the_gitlab_pipeline_keeps_its_state_from_job_to_job(shell: Shell, checkout: Path, home: Path) -> None:
    document: dict[str, Any] = yaml.safe_load(block(".gitlab-ci.yml"))
    assert document["variables"]["FLOWQ_HOME"] == "$CI_PROJECT_DIR/.flowq-data"
    first, second = document["pipeline"], document["again"]
    done = shell("\n".join(first["script"]), CI_COMMIT_SHA="abc")
    assert done.returncode == 1
    begin = re.search(r"\x1b\[0Ksection_start:\d+:(flowq_\w+)\r\x1b\[0K✖ unit\[part=web\] failed", done.stdout)
    assert begin is not None
    assert f":{begin[1]}\r\x1b[0K" in done.stdout.partition("section_end:")[2]
    assert "[collapsed=true]\r\x1b[0K✔ lint" in done.stdout
    assert "ERROR: unit[part=web] failed: exit code 1 (pipeline.yaml:7)" in done.stdout
    assert shell("\n".join(first["after_script"])).returncode == 0
    # An artifact loses modes, and is unpacked elsewhere.
    artifact = checkout / ".flowq-data"
    shutil.copytree(home, artifact, ignore=lambda _folder, names: [name for name in names if name.endswith((".sock", ".lock"))])
    artifact.chmod(0o755)
    later = shell("\n".join(second["script"]), FLOWQ_HOME=str(artifact), FLOWQ_LINGER="0")
    try:
        assert later.returncode == 0, later.stdout + later.stderr
        assert "4 jobs: 4 finished" in later.stdout
        assert "running   lint" not in later.stdout
        assert not any(cases(checkout / "report.xml").values())
    finally:
        shell("flowq server stop --force", FLOWQ_HOME=str(artifact))


def test_each_attempt_has_a_fold_of_its_own(checkout: Path, home: Path) -> None:
    (checkout / "flaky.yaml").write_text(
        "jobs:\n  flaky:\n    retry: 1\n    run: |\n      if [ -e done ]; then echo second; exit; fi\n"
        "      touch done; echo first; sleep 0.3; exit 1\n"
    )
    process = Process("run", "flaky.yaml", "--annotations", "github", cwd=checkout, env={"FLOWQ_HOME": str(home), "CI": "1"})
    assert process.wait() == 0
    folds = re.findall(r"::group::(.*)\n::stop-commands::\w+\n(\w+)\n::\w+::\n::endgroup::", process.out)
    process.end()
    assert [(title.rpartition(" ")[0], text) for title, text in folds] == [
        ("○ flaky retrying", "first"),
        ("✔ flaky finished", "second"),
    ]
    assert 0.3 <= float(folds[0][0].split()[-1].removesuffix("s")) < 5


@pytest.mark.parametrize(("system", "place"), [("github", "file=broken.yaml,line=5,"), ("gitlab", "(broken.yaml:5)")])
def test_a_mark_is_at_the_line_that_the_shell_names(checkout: Path, home: Path, system: str, place: str) -> None:
    """Also if so much was printed that the fold has left it out."""
    (checkout / "broken.yaml").write_text("jobs:\n  broken:\n    run: |\n      seq 6000\n      no-such-command\n")
    process = Process("run", "broken.yaml", "--annotations", system, cwd=checkout, env={"FLOWQ_HOME": str(home), "CI": "1"})
    assert process.wait() == 1
    (mark,) = (line for line in process.out.splitlines() if line.startswith("::error ") or "ERROR: " in line)
    assert place in mark


def test_output_cannot_inject_ci_commands(checkout: Path, home: Path) -> None:
    (checkout / "evil.yaml").write_text(
        "jobs:\n  evil:\n    run: |\n      echo '::error::fake'\n      echo '::set-env name=X::y'\n      exit 1\n"
    )
    process = Process("run", "evil.yaml", "--annotations", "github", cwd=checkout, env={"FLOWQ_HOME": str(home), "CI": "1"})
    assert process.wait() == 1
    listening, commands = True, []
    word = ""
    for line in process.out.splitlines():
        if line.startswith("::stop-commands::"):
            listening, word = False, line.removeprefix("::stop-commands::")
        elif not listening:
            listening = line == f"::{word}::"
        elif line.startswith("::") or "##[" in line:
            commands.append(line)
    assert listening
    assert [command.split("::")[1].split(" ")[0] for command in commands] == ["group", "endgroup", "error"]
    process.end()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "pipeline.yaml", "--detach", "--junit", "x.xml"], "flowq status RUN --junit FILE"),
        (["run", "pipeline.yaml", "--json", "--annotations", "github"], "both want standard output"),
        (["run", "pipeline.yaml", "--junit", "pipeline.yaml/x.xml"], "--junit: cannot write"),
        (["run", "pipeline.yaml", "--junit", "."], "--junit: cannot write"),
        (["run", "pipeline.yaml", "--annotations", "jenkins"], "jenkins"),
    ],
)
def test_impossible_reports_are_refused_before_anything_runs(
    arguments: list[str], words: str, checkout: Path, home: Path
) -> None:
    process = Process(*arguments, cwd=checkout, env={"FLOWQ_HOME": str(home)})
    assert process.wait() == 2
    assert words in process.err
    assert process.out == ""
    process.end()


def test_an_invalid_flow_leaves_no_report(shell: Shell, checkout: Path) -> None:
    (checkout / "bad.yaml").write_text("jobs: {a: {rum: x}}")
    assert shell("flowq run bad.yaml --junit bad.xml").returncode == 3
    assert not (checkout / "bad.xml").exists()


def test_a_report_of_an_earlier_run(shell: Shell, checkout: Path) -> None:
    assert shell("flowq run pipeline.yaml --json > events").returncode == 1
    assert shell("flowq status --junit late/report.xml --failed").returncode == 0
    assert cases(checkout / "late" / "report.xml")["package"] == ["skipped"]


def test_handlers_for_another_end_of_the_run_are_not_in_the_report(shell: "Shell", checkout: Path) -> None:
    """Jenkins and GitLab show a skipped test as something that was left undone."""
    phases = {f"on_{name}": {name: {"run": "true"}} for name in ("success", "failure", "cancel", "exit")}
    for command, own in (("true", "on_success/success"), ("false", "on_failure/failure")):
        (checkout / "flow.json").write_text(json.dumps({"jobs": {"work": {"run": command}}, **phases}))
        shell("flowq run flow.json --junit report.xml || true")
        root = ET.parse(checkout / "report.xml").getroot()
        assert [item.get("name") for item in root.iter("testcase")] == ["work", own, "on_exit/exit"]
        assert (root[0].get("tests"), root[0].get("skipped")) == ("3", "0")
