"""`flowq retry` after the flow file was changed: a warning, and `--reload`, which takes the present text for what runs again."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from flowq.cli.main import run as flowq
from flowq.connections.clients import open_store
from flowq.store import Store
from tests.cli import process
from tests.cli.conftest import Cli, Outcome
from tests.support.endpoint import Endpoint
from tests.support.server import PrivateServer
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.slow

BROKEN = """
params: {who: {type: string, default: world}}
jobs:
  a: {run: 'echo a >> ran.txt; echo "v=1" >> "$FLOWQ_OUTPUT"'}
  b: {depends_on: a, run: "exti 0"}
  c: {depends_on: b, run: 'echo c >> ran.txt'}
  side: {run: 'echo side-old; echo side >> ran.txt'}
on_exit:
  bye: {run: echo old}
"""
MENDED = (
    BROKEN.replace("exti 0", "echo mended ${{ params.who }} ${{ jobs.a.result.v }} ${{ run.date }}")
    .replace("\njobs:", "\n# a comment\njobs:")
    .replace("side-old", "side-new")
    .replace("echo old", "echo new")
)


READING = {"status", "logs", "why"}


class Project:
    """A directory with a flow, and the command in it: a process of its own, except for commands that only read."""

    def __init__(self, path: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self._captured = captured

    def write(self, text: str, name: str = "flow.yaml") -> None:
        (self.path / name).write_text(text)

    def flowq(self, *arguments: str) -> Outcome:
        if arguments[0] in READING:
            self._captured.readouterr()
            with chdir(self.path):
                code = flowq(arguments)
            return Outcome(code, *self._captured.readouterr())
        done = process.flowq(*arguments, cwd=self.path, timeout=90)
        return Outcome(done.returncode, done.stdout, done.stderr)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.flowq("status", "--json").out)
        return document

    def ends(self) -> dict[str, str]:
        return {job["name"]: job["status"] for job in self.status()["jobs"]}

    def log(self, job: str) -> str:
        """Return what the job printed, in all of its attempts."""
        return "".join(f"{json.loads(line)['line']}\n" for line in self.flowq("logs", job, "--json").out.splitlines())

    @property
    def ran(self) -> list[str]:
        return (self.path / "ran.txt").read_text().split()


@pytest.fixture
def project(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Project:
    assert home.is_dir()
    return Project(tmp_path, capfd)


def failed(project: Project, text: str = BROKEN, *arguments: str) -> None:
    project.write(text)
    assert project.flowq("run", "flow.yaml", *arguments).code == 1


def test_without_reload_the_text_as_submitted_runs_and_is_told(project: Project) -> None:
    failed(project)
    assert "flow.yaml:5" in project.flowq("status").out
    assert project.flowq("retry", "--failed", "--dry-run").err == ""
    project.write(MENDED)
    status = project.status()
    assert status["changed_files"] == [str(project.path / "flow.yaml")]
    assert "flow.yaml, line 5 as submitted" in project.flowq("status").out
    assert "flow.yaml, line 5 as submitted" in project.flowq("why", "b").out
    for arguments in (["--dry-run"], []):
        done = project.flowq("retry", "--failed", *arguments)
        assert "warning: flow.yaml has changed since run" in done.err
        assert "--reload takes the present text" in done.err
    assert "exti: command not found" in project.log("b")
    (project.path / "flow.yaml").unlink()
    assert project.status()["changed_files"] == []


def test_reload_takes_what_runs_again_and_keeps_the_rest(project: Project) -> None:
    failed(project, BROKEN, "-p", "who=me")
    run = project.status()["id"]
    project.write(MENDED)
    preview = project.flowq("retry", "--failed", "--reload", "--dry-run")
    assert preview.err == ""
    assert "would run again 3 jobs" in preview.out
    assert project.status()["attempt"] == 1
    done = project.flowq("retry", "--failed", "--reload")
    assert (done.code, done.err) == (0, "")
    status = project.status()
    assert (status["id"], status["attempt"], status["changed_files"]) == (run, 2, [])
    assert set(project.ends().values()) == {"finished"}
    assert project.log("b").splitlines()[-1].startswith("mended me 1 2")
    assert sorted(project.ran) == ["a", "c", "side"], "finished jobs are kept"
    assert project.log("side") == "side-old\n"
    assert project.log("on_exit/bye").splitlines() == ["old", "new"]
    assert next(job["line"] for job in status["jobs"] if job["name"] == "b") == 6, "the place in the present text"
    assert next(job["line"] for job in status["jobs"] if job["name"] == "side") == 8
    again = project.flowq("retry", "--job", "side")
    assert (again.code, again.err) == (0, "")
    assert project.log("side").splitlines() == ["side-old", "side-old"], "the definition that it was executed with"
    assert project.flowq("retry", "--job", "side", "--reload").code == 0
    assert project.log("side").splitlines()[-1] == "side-new"


def test_changed_dependencies_reset_what_lies_below(project: Project) -> None:
    text = """
jobs:
  a: {run: 'echo a >> ran.txt'}
  b: {run: 'echo b >> ran.txt'}
  x: {depends_on: a, run: 'echo x >> ran.txt'}
  y: {depends_on: x, run: 'echo y >> ran.txt'}
  z: {depends_on: b, run: exit 1}
"""
    failed(project, text)
    project.write(text.replace("x: {depends_on: a,", "x: {depends_on: [b],").replace("exit 1", "echo z >> ran.txt"))
    preview = project.flowq("retry", "--failed", "--reload", "--dry-run").out
    assert "its dependencies have changed" in preview
    assert "depends on x" in preview
    assert project.flowq("retry", "--failed", "--reload").code == 0
    assert sorted(project.ran) == ["a", "b", "x", "x", "y", "y", "z"]
    edges = json.loads(project.flowq("graph", "@latest", "--format", "json").out)["edges"]
    assert sorted(edge[:2] for edge in edges) == [["b", "x"], ["b", "z"], ["x", "y"]]
    assert project.flowq("retry", "--job", "b").code == 0, "a later retry uses the new edges"
    assert sorted(project.ran) == ["a", *"bb", *"xxx", *"yyy", *"zz"]
    assert project.flowq("retry", "--job", "a").code == 0
    assert project.ran.count("x") == 3, "x does not depend on a any more"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("  side:", "  other:", "it has other jobs (new: other; gone: side)"),
        ("jobs:", "jobs:\n  more: {run: 'true'}", "it has other jobs (new: more)"),
        ("  a: {run", "  a: {depends_on: side, run", "a now depends on side, which stands behind it in this run"),
        ("jobs:", "concurrency: {group: x}\njobs:", "its `concurrency` has changed"),
        ("c: {depends_on: b,", "c: {depends_on: b, matrix: {n: [1, 2]},", "it has other jobs (new: c[n=1], c[n=2]; gone: c)"),
        ("c: {depends_on: b,", "c: {depends_on: b, foreach: '[1]',", "its stages, matrices or sub-flows have changed"),
        ("  b: {", "  b: {depends: a, ", "FQ"),
        ("{who: {type: string, default: world}}", "{who: {type: integer, default: 1}}", "FQ"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(project: Project, old: str, new: str, why: str) -> None:
    failed(project, BROKEN, "-p", "who=me")
    before = [project.flowq("status", "--json").out, project.flowq("logs").out, project.flowq("why", "b").out]
    assert old in BROKEN
    project.write(BROKEN.replace(old, new, 1))
    done = project.flowq("retry", "--failed", "--reload")
    assert done.code in {2, 3}
    assert why in done.err
    project.write(BROKEN)
    assert [project.flowq("status", "--json").out, project.flowq("logs").out, project.flowq("why", "b").out] == before


def test_policies_and_kinds_change_too(project: Project) -> None:
    text = """
jobs:
  a: {run: 'true'}
  flaky: {depends_on: a, run: 'echo try >> ran.txt; exit 1'}
  m: {depends_on: flaky, matrix: {n: [1, 2]}, run: 'echo m >> ran.txt'}
"""
    failed(project, text)
    project.write(
        text.replace("exit 1'", "[ $(grep -c try ran.txt) -ge 3 ]', retry: {max: 3, interval: 0s}, queue: other, priority: 5")
        .replace("{n: [1, 2]},", "{n: [1, 2]}, max_parallel: 1, fail_fast: true,")
    )  # fmt: skip
    done = project.flowq("retry", "--failed", "--reload")
    assert done.code == 0, done.out
    assert project.ran == ["try", "try", "try", "m", "m"]
    jobs = {job["name"]: job for job in project.status()["jobs"]}
    assert (jobs["flaky"]["attempts"], jobs["flaky"]["queue"]) == (2, "other")


def test_the_worker_of_a_run_serves_the_queues_of_its_cells_also_new_ones(project: Project) -> None:
    text = """
jobs:
  m: {matrix: {os: [linux, macos]}, queue: "${{ matrix.os }}", run: 'echo ${{ matrix.os }} >> ran.txt; [ ${{ matrix.os }} = linux ]'}
"""
    failed(project, text)
    project.write(text.replace('"${{ matrix.os }}"', '"${{ matrix.os }}-2"').replace("= linux", "!= other"))
    done = project.flowq("retry", "--failed", "--reload")
    assert done.code == 0, done.out
    assert sorted(project.ran) == ["linux", "macos", "macos"]
    jobs = {job["name"]: (job["status"], job["queue"]) for job in project.status()["jobs"]}
    assert jobs == {"m[os=linux]": ("finished", "linux"), "m[os=macos]": ("finished", "macos-2")}


def test_a_matrix_gets_fail_fast(project: Project) -> None:
    text = "jobs:\n  m: {matrix: {n: [1, 2]}, run: 'exit 1'}\n"
    failed(project, text)
    script = "if [ ${{ matrix.n }} = 1 ]; then until [ -e begun ]; do sleep 0.01; done; exit 1; fi; touch begun; sleep 60"
    project.write(text.replace("matrix", "fail_fast: true, matrix").replace("exit 1", script))
    assert project.flowq("retry", "--failed", "--reload", "--workers", "2").code == 1
    assert project.ends() == {"m[n=1]": "failed", "m[n=2]": "canceled"}


@pytest.mark.parametrize(("before", "after"), [(True, False), (True, True), (False, True)])
def test_messages_are_those_of_the_present_text(
    project: Project, before: bool, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Endpoint() as endpoint:
        monkeypatch.setenv("OPS", f"{endpoint.url}/ops")
        text = "notify: [{on: [failed, finished], to: {env: OPS}}]\njobs: {a: {run: exit 1}}\n"
        failed(project, text, *([] if before else ["--no-notify"]))
        told = [request.document["event"] for request in endpoint.asked]
        assert told == (["failed"] if before else [])
        text = text.replace("exit 1", "exit 0")
        project.write(text if after else text[text.index("jobs") :])
        assert project.flowq("retry", "--failed", "--reload").code == 0
        assert [request.document["event"] for request in endpoint.asked] == ([*told, "finished"] if before and after else told)


def test_foreach_and_sub_flows(project: Project) -> None:
    child = "jobs:\n  work: {run: 'exit 1'}\n"
    text = """
jobs:
  each: {foreach: "[1, 2, 3]", run: 'echo each >> ran.txt; [ "${{ item }}" != 2 ]'}
  after: {depends_on: each, run: 'echo after >> ran.txt'}
  list: {foreach: '["p", "q"]', run: 'echo list >> ran.txt'}
  sub: {flow: child.yaml}
"""
    project.write(child, "child.yaml")
    failed(project, text)
    project.write("# mended\n" + child.replace("exit 1", "echo work >> ran.txt"), "child.yaml")
    assert "child.yaml, line 2 as submitted" in project.flowq("status").out
    project.write(text.replace("!= 2", "!= 9").replace('"q"]', '"q", "r"]'))
    preview = project.flowq("retry", "--failed", "--reload", "--dry-run").out
    assert "its list has changed" in preview
    done = project.flowq("retry", "--failed", "--reload")
    assert done.code == 0, done.out + done.err
    assert sorted(project.ran) == ["after", *["each"] * 4, *["list"] * 5, "work"]


def test_a_worker_that_knows_the_run_takes_the_new_plan(
    store: Store, server: PrivateServer, namespace: str, cli: Cli, tmp_path: Path
) -> None:
    """On a server of one's own, a worker goes on after the first attempt, and has its plan in memory."""
    assert store.runs.recent() == []
    text = """
jobs:
  a: {run: 'true'}
  b: {depends_on: a, if: params.go, run: exit 3}
  each: {depends_on: {b: done}, foreach: '[1, 2]', run: exit 3}
params: {go: {type: boolean, default: true}}
"""
    flow = tmp_path / "flow.yaml"
    flow.write_text(text)
    with WorkerProcess(server.url, "default", "-c", "2", "--log-level", "warning", namespace=namespace):
        assert cli("run", "flow.yaml").code == 1
        flow.write_text(text.replace("exit 3", "echo mended").replace("if: params.go", 'if: "params.go == true"'))
        assert cli("retry", "--failed").code == 1, "as submitted"
        done = cli("retry", "--failed", "--reload")
        assert done.code == 0, done.out
        assert cli("logs", "b").out == "mended\n"
        assert sorted(cli("logs", "each").out.splitlines()) == ["each[0] | mended", "each[1] | mended"]  # they run side by side
        assert cli("retry", "--job", "b").code == 0, "a retry without --reload keeps the plan of the latest attempt"
        assert cli("logs", "b").out == "mended\n── execution 4 ──\nmended\n"


def test_the_new_plan_is_signed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_SECRET_KEY", "a key that is long enough for this")
    failed(project)
    project.write(MENDED)
    assert project.flowq("retry", "--failed", "--reload").code == 0
    assert set(project.ends().values()) == {"finished"}


def test_a_secret_of_the_present_text_is_checked_first(project: Project) -> None:
    failed(project)
    project.write(
        MENDED.replace("\njobs:", "\nsecrets: {TOKEN: {env: NO_SUCH_TOKEN}}\njobs:").replace(
            "  b: {", "  b: {secrets: [TOKEN], "
        )
    )
    done = project.flowq("retry", "--failed", "--reload")
    assert done.code == 2
    assert "nothing was started" in done.err
    assert project.status()["attempt"] == 1


@pytest.mark.usefixtures("home")
def test_the_root_of_a_run_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    (tmp_path / "shared.yaml").write_text("jobs: {x: {run: 'test -e mended'}}\n")
    (folder / "flow.yaml").write_text("jobs: {s: {flow: ../shared.yaml}}\n")
    monkeypatch.chdir(folder)
    assert flowq(["run", "flow.yaml"]) == 3
    assert flowq(["run", "flow.yaml", "--root", ".."]) == 1
    (folder / "mended").touch()
    assert flowq(["retry", "--failed", "--reload"]) == 0
    assert flowq(["run", "--again", "@latest"]) == 0


SLOT = """
params: {at: {default: "${{ run.scheduled_at ?? 'none' }}"}}
jobs:
  a: {run: 'echo "$AT" "$JOB" >> seen.txt', env: {AT: "${{ params.at }}", JOB: "${{ run.scheduled_at ?? 'none' }} ${{ run.date }}"}}
  b: {depends_on: a, run: "exit 1"}
"""


def test_a_retry_keeps_the_slot_of_the_run(project: Project) -> None:
    """With the text as submitted and with the present one; only the slot is not that of another run."""
    project.write(SLOT)
    assert project.flowq("run", "--scheduled-at", "2026-03-29T03:00+02:00").code == 1
    assert project.flowq("retry", "--job", "a").code == 1
    project.write(SLOT.replace("exit 1", "echo done"))
    assert project.flowq("retry", "--job", "a", "--reload").code == 0
    assert (project.path / "seen.txt").read_text() == 3 * "2026-03-29T03:00:00+02:00 2026-03-29T03:00:00+02:00 2026-03-29\n"


def test_a_slot_that_is_no_time(project: Project) -> None:
    project.write(SLOT)
    done = project.flowq("run", "--scheduled-at", "tomorrow")
    assert (done.code, "expected a time such as" in done.err) == (2, True)


def test_a_timeout_of_the_run_is_kept_and_one_of_the_text_is_not(project: Project) -> None:
    limited = f"timeout: 20m\n{BROKEN}"

    def limit(run: str) -> float | None:
        with open_store().client as client:
            stored = client.hget(f"{{flowq}}:run:{run}", "timeout")
            return None if stored is None else int(stored) / 60_000

    for arguments, kept in ((["--timeout", "1h"], 60), ([], 20)):
        failed(project, limited, *arguments)
        run = project.status()["id"]
        assert limit(run) == kept
        for text, changed in ((limited.replace("20m", "30m"), 30), (BROKEN, None)):
            project.write(text.replace("exti 0", "exti 1"))
            assert project.flowq("retry", "--failed", "--reload").code == 1
            assert limit(run) == (kept if arguments else changed)


def test_a_param_that_the_text_has_no_longer_is_told_and_left_out(project: Project) -> None:
    failed(project, BROKEN.replace("params: {", "params: {old: {type: integer, default: 1}, "), "-p", "old=7", "-p", "who=me")
    project.write(MENDED)
    said = "warning: flow.yaml no longer has params that run {} was given, they are left out: old=7\n"
    run = project.status()["id"]
    done = project.flowq("retry", "--failed", "--reload")
    assert (done.code, done.err) == (0, said.format(run))
    assert project.log("b").splitlines()[-1].startswith("mended me 1")
    again = project.flowq("run", "--again", run)
    assert (again.code, again.err) == (0, said.format(run))
    refused = project.flowq("run", "--again", run, "-p", "old=8")
    assert refused.code == 3
    assert "there is no param `old`" in refused.err, "what is typed now is meant"
