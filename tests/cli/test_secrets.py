"""Canaries: runs whose jobs leak secrets in all ways, and a search through all that flowq stores or shows; checks before a run."""

import base64
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Flow, Run
from flowq.cli import main
from flowq.connections.clients import open_store
from flowq.embedded.control import server_status, stop_server
from flowq.exceptions import InvalidFlowError, UsageError
from tests.cli.process import Process
from tests.support.wait import until

MODULE = '''
import base64, json, logging, os, sys, urllib.parse

def values(names):
    return {name: os.environ[name] for name in names}

def leak(*names):
    """Print and return secrets in many forms."""
    logging.basicConfig(level=logging.INFO)
    for name, value in values(names).items():
        print(value, repr(value), json.dumps({"value": value}), urllib.parse.quote(value, ""), flush=True)
        sys.stderr.write(base64.b64encode(value.encode()).decode() + "\\n")
        for user in ("a", "ab", "abc"):
            print("Authorization: Basic", base64.b64encode(f"{user}:{value}".encode()).decode())
        logging.info("the value is %s", value)
        for character in value:
            os.write(1, character.encode())
    return {"values": values(names), "list": [{value: [value]} for value in values(names).values()]}

def boom(*names):
    """Raise an error that tells secrets."""
    raise ValueError(values(names), *values(names).values())

def deep(*names):
    """Let flowq say what cannot be a result."""
    return {value: {1, 2} for value in values(names).values()}
'''

SCRIPT = r"""
for name in NAMES; do
  value="${!name}"
  printf '%s\n' "$value"
  printf '%s' "$value" | base64 | tee /dev/stderr
  printf '%s' "user:$value" | base64 -w 0
  printf ' %q\n' "$value"
  printf '%s<<END_OF_IT\n%s\nEND_OF_IT\n' "$name" "$value" >> "$FLOWQ_OUTPUT"
done
set -x
true "$value"
"""


RUN = ("run", "flow.yaml", "--run-id", "canaries", "--junit", "junit.xml", "--annotations", "github", "--workers", "3")


class Canaries:
    """Secrets of all sources by name, with their values."""

    def __init__(self, directory: Path) -> None:
        self.cores: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.files: list[str] = []
        self._directory = directory
        for number in range(10):
            self.environment[f"SOURCE_{number}"] = f"{self._core(f'E{number}')}{['', ' ', '/+', chr(34), chr(39)][number % 5]}!"
        self.environment["SOURCE_URL"] = f"postgres://user:{self._core('URL')}@host/db"
        for number in range(6):
            self._file(f"F{number}", [self._core(f"F{number}") + ["", "é", "$x"][number % 3]])
        for number in range(3):
            self._file(f"M{number}", [f"-----BEGIN {number}-----", self._core(f"M{number}"), "-----END-----"])

        for number in range(2):
            self._file(f"C{number}", [self._core(f"C{number}")])

    def declarations(self) -> dict[str, dict[str, str | list[str]]]:
        """The `secrets` of a flow."""
        env: dict[str, dict[str, str | list[str]]] = {
            name: {"env": "SOURCE_URL" if name == "URL" else f"SOURCE_{name[1:]}"}
            for name in self.cores
            if name not in self.files
        }
        files: dict[str, dict[str, str | list[str]]] = {name: {"file": f"private/{name}"} for name in self.files}
        return env | files | {name: {"command": ["cat", f"private/{name}"]} for name in self.files if name[0] == "C"}

    def needles(self, names: list[str]) -> list[bytes]:
        """Return byte strings that must not be found: the core of each secret, plain and encoded, computed without flowq."""
        found = []
        for name in names:
            core = self.cores[name].encode()
            found += [core, core[:20], core[-20:]]
            found += [base64.b64encode(b"x" * offset + core)[4 if offset else 0 : -4] for offset in range(3)]
        return found

    def _core(self, name: str) -> str:
        self.cores[name] = os.urandom(16).hex()
        return self.cores[name]

    def _file(self, name: str, lines: list[str]) -> None:
        self.files.append(name)
        (self._directory / "private").mkdir(exist_ok=True)
        (self._directory / "private" / name).write_text("\n".join(lines) + "\n")


def flow_of(canaries: Canaries) -> str:
    """Return a flow whose jobs leak all of them in every way."""
    names = list(canaries.cores)
    may_fail = {"secrets": names, "allow_failure": True}
    jobs = {
        "leak": {"secrets": names, "call": "canary:leak", "args": names},
        "boom": may_fail | {"call": "canary:boom", "args": names, "retry": 1},
        "deep": may_fail | {"call": "canary:deep", "args": names},
        "script": {"secrets": names, "run": SCRIPT.replace("NAMES", " ".join(names))},
        "garbage": may_fail | {"run": f'echo "{"x" * 35}${names[0]}" >> "$FLOWQ_OUTPUT"'},
        "missing": may_fail | {"run": f'"/bin/${names[1]}"'},
        "exits": may_fail | {"run": [sys.executable, "-c", "import os, sys; sys.exit(os.environ['F1'])"]},
        "killed": may_fail | {"run": f'echo "${names[2]}"; kill -9 $$'},
        "slow": may_fail | {"run": f'printf "%s" "${names[3]}"; sleep 20', "timeout": 1},
        "argv": {"secrets": names, "run": f'sh -c "sleep 0.5; true" child "${names[4]}" "$F2"'},
        "none": {"run": "sleep 0.3; env"},
        "cached": {
            "secrets": names,
            "cache": {"key": "params", "outputs": ["*.made"]},
            "run": ': > "$E5.made"; echo "key=$E6" >> "$FLOWQ_OUTPUT"',
        },
        "after": {
            "depends_on": ["leak", "script"],
            "run": ["echo", "${{ to_json(jobs.leak.result) }}", "${{ to_json(jobs.script.result) }}"],
        },
        "ask": {
            "depends_on": "leak",
            "allow_failure": True,
            "approval": {"message": "Publish ${{ to_json(jobs.leak.result) }}?", "timeout": "500ms"},
        },
    }
    clean = {"secrets": names, "call": "canary:leak", "args": names}
    return json.dumps({"secrets": canaries.declarations(), "jobs": jobs, "on_exit": {"clean": clean}})


class Watch:
    """A poller that records processes with a needle in their arguments or environment."""

    def __init__(self, canaries: Canaries) -> None:
        self.arguments: set[bytes] = set()
        self.environments: set[bytes] = set()
        self.seen = 0
        self._all = canaries.needles(list(canaries.cores))
        self._over = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        """Poll until the end of the block."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.02):
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
                    environment = Path(f"/proc/{pid}/environ").read_bytes()
                except OSError:
                    continue
                self.seen += 1
                self._look(arguments, environment)

    def _look(self, arguments: bytes, environment: bytes) -> None:
        own = b"FLOWQ_JOB_ID=" in environment  # the command of a job, or its child
        if any(needle in arguments for needle in self._all) and not (own and b"FLOWQ_JOB_NAME=argv\0" in environment):
            self.arguments.add(arguments)
        holders = (b"flowq.worker.main", b"flowq.cli.main")  # these were started with the variables
        if not own and any(needle in environment for needle in self._all) and not any(name in arguments for name in holders):
            self.environments.add(arguments)


def values_of(client: Any) -> Iterator[bytes]:
    """Yield all data of a server."""
    read: dict[bytes, Callable[[bytes], object]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    for key in client.scan_iter():
        kind = client.type(key)
        if kind != b"none":
            yield key + b" " + b"".join(_flat(read[kind](key)))


def _flat(value: object) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from _flat(pair)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _flat(item)


def found_in(data: bytes, needles: list[bytes]) -> list[bytes]:
    return [needle for needle in needles if needle in data]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_no_secret_is_stored_or_shown(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    canaries = Canaries(tmp_path)
    needles = canaries.needles(list(canaries.cores))
    assert len(canaries.cores) == 22
    (tmp_path / "canary.py").write_text(MODULE)
    (tmp_path / "flow.yaml").write_text(flow_of(canaries))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**canaries.environment, "TMPDIR": str(temporary)}
    monkeypatch.chdir(tmp_path)
    shown: list[bytes] = []

    with Watch(canaries).running() as watch:
        run = Process(*RUN, cwd=tmp_path, env=env)
        try:
            assert run.wait(60) == 0, run.out + run.err
        finally:
            run.end()
        shown.append(run.out.encode() + run.err.encode())
    assert watch.seen > 1000
    assert watch.arguments == set()
    assert watch.environments == set()
    assert b"***" in shown[0]

    def flowq(*arguments: str) -> None:
        capfd.readouterr()
        main.run(arguments)
        shown.append("".join(capfd.readouterr()).encode())

    for job in json.loads((tmp_path / "flow.yaml").read_text())["jobs"]:
        flowq("logs", "canaries", job)
        flowq("result", "canaries", job)
        flowq("why", "canaries", job)
    for command in (
        ("status", "canaries"), ("status", "canaries", "--json"), ("runs",), ("runs", "--json"), ("logs", "canaries"), ("logs", "canaries", "--json"),
        ("plan", "flow.yaml", "--json"), ("plan", "flow.yaml"), ("graph", "flow.yaml"), ("run", "flow.yaml", "--dry-run"), ("doctor",), ("config",),
    ):  # fmt: skip
        flowq(*command)
    assert shown[1].count(b"***") > 100, "the logs of `leak`"
    assert sum(b"***" in text for text in shown) > 10
    for text in shown:
        assert found_in(text, needles) == [], text[:200]

    client = redis.Redis(unix_socket_path=str(server_status(str(home)).socket))
    with client:
        stored = list(values_of(client))
    assert sum(b"***" in value for value in stored) > 5
    assert any(b"***.made" in value for value in stored), "the cache"
    for value in stored:
        assert found_in(value, needles) == [], value[:200]

    stop_server(str(home), force=True)
    appended = [path for path in home.rglob("*.aof") if path.stat().st_size > 10_000]
    assert appended, "the append-only file was looked at"
    for directory in (home, temporary):
        for path in directory.rglob("*"):
            if path.is_file():
                assert found_in(path.read_bytes(), needles) == [], path
    report = (tmp_path / "junit.xml").read_bytes()
    assert b"***" in report
    assert found_in(report, needles) == []


FLOW = """
params: {publish: {type: boolean, default: false}}
secrets: {KEY: {env: NO_SUCH_VARIABLE}, FILE: {file: made.txt}}
jobs:
  make: {run: printf made-of-a-job > made.txt}
  use: {run: 'echo "${#FILE}"', secrets: [FILE], depends_on: make}
  publish: {run: 'echo "$KEY"', secrets: [KEY], if: params.publish}
on_failure:
  tell: {run: 'echo "$KEY"', secrets: [KEY]}
"""


def run_here(directory: Path, *arguments: str) -> Process:
    process = Process("run", "flow.yaml", *arguments, cwd=directory)
    try:
        process.wait(60)
    finally:
        process.end()
    return process


def test_a_run_that_must_fail_is_not_started(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    refused = run_here(tmp_path, "-p", "publish=true")
    place = tmp_path / "flow.yaml"
    assert refused.code == 2
    assert refused.err.splitlines()[-2:] == [
        "error: nothing was started:",
        f"{place}:7: job publish: secret KEY: the variable NO_SUCH_VARIABLE is not set; export it before the worker (or `flowq run`) starts",
    ]
    assert not (tmp_path / "made.txt").exists()


def test_a_run_that_may_fail_is_started_with_a_warning(home: Path, tmp_path: Path) -> None:
    """An earlier job may create a file; a handler may not be needed; a job whose `if` is false does not matter."""
    (tmp_path / "flow.yaml").write_text(FLOW)
    started = run_here(tmp_path)
    assert started.code == 0, started.err
    warnings = [line for line in started.err.splitlines() if line.startswith("warning:")]
    assert [line.split(": ")[2] for line in warnings] == ["job use", "job on_failure/tell"]
    assert "use | 13" in started.out


@pytest.mark.parametrize(("items", "code"), [("", 0), ("1", 1)])
def test_a_foreach_does_not_stop_a_run_because_its_list_may_be_empty(home: Path, tmp_path: Path, items: str, code: int) -> None:
    (tmp_path / "flow.yaml").write_text(
        "secrets: {GONE: {env: GONE_OF_TEST}}\njobs:\n"
        f"  list: {{run: 'echo \"items=[{items}]\" >> $FLOWQ_OUTPUT'}}\n"
        "  each: {foreach: from_json(jobs.list.result.items), run: 'echo ${{ item }}', secrets: [GONE], depends_on: list}\n"
    )
    started = run_here(tmp_path)
    assert started.code == code
    (warning,) = [line for line in started.err.splitlines() if line.startswith("warning:")]
    assert "job each: secret GONE: the variable GONE_OF_TEST is not set" in warning
    assert ("each[0] failed" in started.out) is bool(items)


AGAIN = """
secrets: {KEY: {env: KEY_OF_TEST}, FILE: {file: made.txt}, GONE: {env: GONE_OF_TEST}}
jobs:
  before: {run: 'echo "${#GONE}"', secrets: [GONE]}
  fails: {run: 'test -e repaired', depends_on: before}
  use: {run: 'echo "$KEY"', secrets: [KEY], depends_on: fails}
  after: {run: 'rm made.txt', secrets: [FILE], depends_on: use}
  other: {run: 'echo "${#GONE}"', secrets: [GONE], depends_on: {fails: failure}}
"""


@pytest.fixture
def failed(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a failed run `repairme`, whose secrets are removed; a retry could succeed."""
    (tmp_path / "flow.yaml").write_text(AGAIN)
    (tmp_path / "made.txt").write_text("made-by-hand")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flowq.connections.stores._default", None)
    with monkeypatch.context() as patch:
        patch.setenv("KEY_OF_TEST", "swordfish")
        patch.setenv("GONE_OF_TEST", "goldfish")
        assert main.run(("run", "flow.yaml", "--run-id", "repairme")) == 1
    (tmp_path / "repaired").touch()
    return tmp_path


MISSING = (
    "flow.yaml:6: job use: secret KEY: the variable KEY_OF_TEST is not set; export it before the worker (or `flowq run`) starts"
)


def test_a_retry_that_must_fail_is_not_started(
    failed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Jobs that are not run again, or are skipped, need no secrets."""
    (failed / "made.txt").unlink()
    capfd.readouterr()
    assert main.run(("retry", "repairme", "--failed", "--dry-run")) == 0
    assert "KEY" not in capfd.readouterr().err
    for command in (
        ("retry", "repairme", "--failed"),
        ("retry", "--failed", "--detach"),
        ("retry", "repairme", "--job", "fails"),
    ):
        assert main.run(command) == 2
        lines = capfd.readouterr().err.splitlines()
        assert lines[-2:] == ["error: nothing was started:", f"{failed}/{MISSING}"]
        assert [line.split("job ")[1][:19] for line in lines[:-2]] == ["after: secret FILE:"]
    assert Run.fetch("repairme").view().attempt == 1
    (failed / "made.txt").write_text("again")
    monkeypatch.setenv("KEY_OF_TEST", "swordfish")
    assert main.run(("retry", "repairme", "--failed")) == 0, capfd.readouterr()


def test_only_retried_jobs_are_checked(failed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main.run(("retry", "repairme", "--job", "fails", "--only")) == 0, "`use` stays skipped"
    assert main.run(("retry", "repairme", "--job", "before", "--only")) == 2
    assert "job before: secret GONE: the variable GONE_OF_TEST is not set" in capfd.readouterr().err


def test_a_missing_file_of_a_first_job_is_an_error(failed: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The job that created it will not run again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEY_OF_TEST", "swordfish")
        assert main.run(("retry", "repairme", "--failed")) == 0
    assert not (failed / "made.txt").exists()
    assert main.run(("retry", "repairme", "--job", "after")) == 2
    assert f"job after: secret FILE: {failed}/made.txt cannot be read" in capfd.readouterr().err


def test_python_does_not_start_a_run_that_must_fail(failed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow, run = Flow.load("flow.yaml"), Run.fetch("repairme")
    starts: list[Callable[[], object]] = [flow.run, flow.submit]
    for start in starts:
        with pytest.raises(UsageError, match=r"nothing was started:\n.*job before: secret GONE"):
            start()
    retries: list[Callable[[], object]] = [run.retry, lambda: run.retry("fails")]
    for again in retries:
        with pytest.raises(UsageError) as error:
            again()
        assert str(error.value) == f"nothing was started:\n{failed}/{MISSING}"
    assert Run.latest() is not None
    assert [run.view().attempt, run.status] == [1, "failed"]
    monkeypatch.setenv("KEY_OF_TEST", "swordfish")
    assert run.retry() == 2
    monkeypatch.delenv("KEY_OF_TEST")
    with pytest.raises(UsageError, match=r"nothing was started:\n.*job use: secret KEY"):
        run.wait()
    monkeypatch.setenv("KEY_OF_TEST", "swordfish")
    assert run.wait() == "finished"


def test_a_resume_that_must_fail_is_not_started(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = """
    secrets: {KEY: {env: KEY_OF_TEST}, GONE: {env: GONE_OF_TEST}}
    jobs:
      before: {run: 'echo "${#GONE}"', secrets: [GONE]}
      slow: {run: 'touch begun; while [ ! -e go ]; do sleep 0.05; done', depends_on: before}
      use: {run: 'echo "${#KEY}"', secrets: [KEY], depends_on: slow}
    """
    (tmp_path / "flow.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    store = open_store()
    secrets = {"KEY_OF_TEST": "swordfish", "GONE_OF_TEST": "goldfish"}
    run = Process("run", "flow.yaml", "--run-id", "resumeme", cwd=tmp_path, env=secrets)
    try:
        until((tmp_path / "begun").exists)
        following = Process("run", "--resume", "resumeme", "--detach", cwd=tmp_path)
        try:
            assert following.wait() == 0, "the worker that has it needs nothing of this process"
        finally:
            following.end()
        run.signal(signal.SIGKILL)
        run.wait()
    finally:
        run.end()
    until(lambda: not store.workers.live())
    (tmp_path / "go").touch()
    assert main.run(("run", "--resume", "resumeme")) == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[-2] == "error: nothing was started:"
    assert lines[-1].startswith(f"{tmp_path}/flow.yaml:6: job use: secret KEY: the variable KEY_OF_TEST is not set")
    monkeypatch.setenv("KEY_OF_TEST", "swordfish")
    assert main.run(("run", "--resume", "resumeme")) == 0, "what has ended needs no secret any more"


LITERAL = """
secrets:
  TOKEN: canary-5e1d-7f
  OTHER: {value: canary-5e1d-7f}
  THIRD: !canary-5e1d-7f x
  LINES: |
    canary-5e1d-7f
    canary-5e1d-7f
  FOURTH: {env: canary-5e1d-7f}
jobs: {a: {run: work, secrets: [TOKEN]}}
"""


@pytest.mark.parametrize("text", [LITERAL, LITERAL + "x: y: z\n", LITERAL + "\x07"], ids=["shape", "syntax", "character"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("validate", "flow.yaml"),
        ("validate", "flow.yaml", "--json"),
        ("plan", "flow.yaml", "--json"),
        ("run", "flow.yaml", "--json"),
        ("run", "flow.yaml", "--annotations", "github", "--junit", "junit.xml"),
        ("run", "flow.yaml", "--annotations", "gitlab"),
    ],
    ids=" ".join,
)
def test_a_value_in_the_flow_file_is_not_shown(
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    text: str,
) -> None:
    (tmp_path / "flow.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    assert main.run(arguments) == 3
    shown = "".join(capfd.readouterr())
    assert "flow.yaml" in shown
    assert "canary" not in shown
    assert not (tmp_path / "junit.xml").exists()


def test_a_value_in_the_flow_file_is_not_shown_in_python() -> None:
    with pytest.raises(InvalidFlowError) as error:
        Flow.compile(LITERAL)
    assert "canary" not in str(error.value)
    assert "canary" not in repr(error.value.diagnostics)


def test_no_command_is_executed_before_the_job(home: Path, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("""
        secrets: {KEY: {command: [sh, -c, 'echo x >> asked; cat asked']}, MISSING: {command: [no-such-program]}}
        jobs: {a: {run: 'echo "${#KEY}"', secrets: [KEY], retry: 1}}
        on_failure: {tell: {run: 'true', secrets: [MISSING]}}
    """)
    for command in (("validate", "flow.yaml"), ("plan", "flow.yaml"), ("run", "flow.yaml", "--dry-run")):
        process = Process(*command, cwd=tmp_path)
        process.wait(60)
        process.end()
        assert process.code == 0, process.err
    assert not (tmp_path / "asked").exists()
    started = run_here(tmp_path)
    assert started.code == 0, started.err
    assert "secret MISSING: there is no program no-such-program on the PATH; install it" in started.err
    assert "a | 1" in started.out, "of one attempt it is asked once"
