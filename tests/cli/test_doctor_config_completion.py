"""`doctor`, `config` and completion: from constructed facts, on a real server, in a real shell."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pexpect
import pytest

from flowq.cli.commands.doctor import finding_lines
from flowq.cli.terminal import Terminal
from flowq.flows.health import Facts, examine
from flowq.flows.known_holes import REDIS, VALKEY, holes_of
from flowq.store import Store
from flowq.store.schema.records import QueueRecord, WorkerRecord
from tests.cli import golden, samples
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker
from tests.cli.process import FLOWQ, on_terminal
from tests.support.server import PrivateServer

SERVER: dict[str, Any] = {
    "redis_version": "8.8.2",
    "role": "master",
    "aof_enabled": 1,
    "maxmemory": 100_000_000,
    "used_memory": 2_500_000,
}
WELL = Facts("0.1.0", (3, 11, 7), False, "redis://queue.example/0", SERVER, bash="/bin/bash")
WORKER = WorkerRecord("w", ("default",), "host", 1, 4, 1, "0.1.0", 0, 0, "busy", 0, 0, 0)
WAITING = QueueRecord("gpu", 12, 0, 0, 0, 0, 0, 0, 0, 0, workers=0)


def found(facts: Facts) -> dict[str, str]:
    return {finding.code: finding.level for finding in examine(facts)}


def test_no_problems() -> None:
    assert set(found(WELL).values()) == {"ok"}
    golden.check("doctor-well", golden.plain(finding_lines(examine(WELL), Terminal(width=80))))


@pytest.mark.parametrize(
    ("change", "code", "level"),
    [
        ({"bash": None}, "D102", "note"),
        ({"foreign": "3.2.1"}, "D103", "problem"),
        ({"round_trip": 0.2}, "D202", "note"),
        ({"ahead_ms": -30_000}, "D203", "warning"),
        ({"server": SERVER | {"redis_version": "7.4.5"}}, "D204", "warning"),
        ({"server": {}}, "D301", "note"),
        ({"server": SERVER | {"aof_enabled": 0}}, "D301", "warning"),
        ({"server": SERVER | {"aof_last_write_status": "err"}}, "D301", "problem"),
        ({"server": SERVER | {"role": "slave"}}, "D302", "problem"),
        ({"server": SERVER | {"loading": 1}}, "D303", "problem"),
        ({"server": SERVER | {"maxmemory_policy": "allkeys-lru"}}, "D401", "problem"),
        ({"server": SERVER | {"used_memory": 95_000_000}}, "D401", "warning"),
        ({"due": 3}, "D402", "note"),
        ({"suspended": True}, "D501", "warning"),
        ({"queues": (WAITING,)}, "D502", "warning"),
        ({"workers": (replace(WORKER, version="0.0.9"),)}, "D503", "warning"),
        ({"orphaned": ("7k2m9x0d",)}, "D505", "warning"),
        ({"workers": (replace(WORKER, executor="hpc", state="away"),)}, "D509", "warning"),
        ({"schedules": 2}, "D507", "warning"),
        ({"undelivered": ("run a", "run a", "job b")}, "D510", "warning"),
        ({"schedules": 2, "schedulers": 2, "disputed": {"flows/etl:default": ("web1", "web2")}}, "D508", "warning"),
        (
            {"schedules": 2, "schedulers": 2, "twice": {"/srv/flows/etl.yaml": ("flows/etl:a", "srv/flows/etl:a")}},
            "D511",
            "warning",
        ),
    ],
)
def test_each_finding_has_a_code_and_advice(change: dict[str, Any], code: str, level: str) -> None:
    facts = replace(WELL, **change)
    assert found(facts)[code] == level
    finding = next(item for item in examine(facts) if item.code == code)
    assert finding.advice or level == "note"


def test_what_could_not_be_delivered_is_named_once() -> None:
    (told,) = (item for item in examine(replace(WELL, undelivered=("run a", "run a", "job b"))) if item.code == "D510")
    assert told.text == "3 messages or webhooks could not be delivered yet, about run a, job b"


@pytest.mark.parametrize(
    ("server", "names"),
    [
        ({"redis_version": "7.2.10"}, ["CVE-2025-49844", "CVE-2026-81934"]),
        ({"redis_version": "7.2.11"}, ["CVE-2026-81934"]),
        ({"redis_version": "7.2.16"}, []),
        ({"redis_version": "7.0.15"}, ["CVE-2025-49844", "CVE-2026-81934"]),
        ({"redis_version": "8.0.6"}, ["CVE-2026-81934"]),
        ({"redis_version": "8.12.0"}, []),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.3"}, ["CVE-2025-49844", "CVE-2025-67733", "CVE-2026-56684"]),
        ({"redis_version": "7.2.4", "valkey_version": "9.0.4"}, ["CVE-2026-56684"]),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, []),
        ({"redis_version": "255.255.255"}, []),
        ({"redis_version": "unstable"}, []),
        ({}, []),
    ],
)
def test_known_holes_of_a_server(server: dict[str, Any], names: list[str]) -> None:
    assert [hole.name for hole in holes_of(server)] == names
    told = [item for item in examine(replace(WELL, server=SERVER | server)) if item.code == "D204"]
    assert all(name in told[0].text for name in names)
    assert bool(told) == bool(names)


def test_no_mended_version_has_the_hole() -> None:
    for holes, name in ((REDIS, "redis_version"), (VALKEY, "valkey_version")):
        for hole in holes:
            for mended in hole.mended.values():
                assert not mended or hole not in holes_of({name: ".".join(map(str, mended))})


def test_the_page_lists_every_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    everything = replace(
        WELL,
        bash=None,
        foreign="3.2.1",
        round_trip=1.0,
        ahead_ms=9000,
        due=1,
        suspended=True,
        queues=(WAITING,),
        workers=(replace(WORKER, version="9"),),
        orphaned=("7k2m9x0d",),
    )
    everything = replace(everything, server=SERVER | {"role": "slave", "loading": 1, "redis_version": "7.0.15"})
    assert all(code in page for code in found(everything))


def test_a_real_server(cli: Cli, report: str, store: Store) -> None:
    outcome = cli("doctor")
    assert outcome.code == 0
    assert "D301  warning  the server has no append-only file" in outcome.out
    assert "D502  warning  1 job in queue 'default', and no worker listens on it" in outcome.out
    store.queues.suspend(60)
    document = json.loads(cli("doctor", "--json").out)
    assert {"code", "level", "text", "advice"} == set(document[0])
    assert "D501" in {item["code"] for item in document}
    assert report


def test_a_missing_server(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://:secret@127.0.0.1:1")
    outcome = cli("doctor")
    assert outcome.code == 6
    assert "D201  problem" in outcome.out
    assert "secret" not in outcome.out


# -- config -------------------------------------------------------------------------------------------------------------------


def test_config_shows_the_source_of_each_value(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "flowq.toml").write_text('url = "redis://file.example"\nallow_eviction = true\n')
    monkeypatch.delenv("FLOWQ_REDIS_URL")
    rows = {row["name"]: row for row in json.loads(cli("config", "--json").out)}
    assert (rows["url"]["value"], rows["url"]["source"]) == ("redis://file.example", str(tmp_path / "flowq.toml"))
    assert (rows["allow_eviction"]["value"], rows["allow_eviction"]["variable"]) == ("true", "FLOWQ_ALLOW_EVICTION")
    assert rows["namespace"]["source"] == "FLOWQ_NAMESPACE"
    assert rows["home"] == {"name": "home", "value": None, "source": "default", "variable": "FLOWQ_HOME"}
    monkeypatch.delenv("FLOWQ_HOME", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert re.search(rf"^home +{re.escape(str(tmp_path / 'state' / 'flowq'))} +default", cli("config").out, re.MULTILINE)
    text = cli("config", "-u", "redis://me:secret@host/1").out
    assert "redis://me:***@host/1" in text
    assert "secret" not in text
    assert re.search(r"^url +redis://me:\*\*\*@host/1 +-u ", text, re.MULTILINE)
    (tmp_path / "flowq.toml").write_text("colour = 1\n")
    assert cli("config").code == 2


# -- info ---------------------------------------------------------------------------------------------------------------------


def test_info_shows_the_active_runs(cli: Cli, report: str) -> None:
    text = cli("info").out
    assert text.count("RUN ") == 1
    assert re.search(rf"^{report}  nightly-report  running   .* UTC .*s  0/9$", text, re.MULTILINE), text
    assert [run["id"] for run in json.loads(cli("info", "--json").out)["runs"]] == [report]
    assert report not in cli("info", "--only-queues").out
    assert report not in cli("info", "default").out


def test_info_is_watched(store: Store, report: str, server: PrivateServer, namespace: str, tmp_path: Path) -> None:
    """The output is refreshed, and Ctrl+C ends the command."""
    environment = {"FLOWQ_REDIS_URL": server.url, "FLOWQ_NAMESPACE": namespace}
    child = on_terminal("info", "--watch", cwd=tmp_path, env=environment, size=(24, 120))
    child.expect_exact("0/9")
    worker = HandWorker(store, "default")
    worker.finish(worker.claim())
    child.expect_exact("1/9")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    worker.close()


# -- completion ---------------------------------------------------------------------------------------------------------------


def offered(cli: Cli, monkeypatch: pytest.MonkeyPatch, *words: str) -> list[str]:
    """Return the candidates after these words; the last one is incomplete."""
    monkeypatch.setenv("_FLOWQ_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", " ".join(["flowq", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    try:
        return [line.partition(",")[2] for line in cli().out.splitlines() if line]
    finally:
        monkeypatch.delenv("_FLOWQ_COMPLETE")


def test_runs_and_jobs_are_offered(cli: Cli, report: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report in offered(cli, monkeypatch, "status", "7k")
    assert "@latest" in offered(cli, monkeypatch, "logs", "@")
    assert offered(cli, monkeypatch, "logs", report, "f") == ["fetch"]
    assert offered(cli, monkeypatch, "result", "@latest", "build[fmt=pdf") == [
        "build[fmt=pdf,lang=en]",
        "build[fmt=pdf,lang=de]",
    ]
    assert offered(cli, monkeypatch, "why", "ba") == ["backfill"]
    assert "--fail" in offered(cli, monkeypatch, "plan", "--fa")
    assert offered(cli, monkeypatch, "stat") == ["status"]


def test_schedules_are_offered_to_why(cli: Cli, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.schedules.beat("test", [("flows/etl/nightly:default", "", False)])
    assert offered(cli, monkeypatch, "why", "etl") == ["etl/nightly:default"]


def test_flow_files_and_directories_are_offered(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.json", "notes.md", "sub/flow.yaml", ".flowq/main.yaml", ".hidden/x.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("jobs: {}\n")
    for command in ("run", "validate", "plan"):
        assert offered(cli, monkeypatch, command, "") == ["a.yml", "b.yaml", "c.json", ".flowq/", "sub/"]
    assert offered(cli, monkeypatch, "run", ".h") == [".hidden/"]
    assert offered(cli, monkeypatch, "run", "sub/") == ["sub/flow.yaml"]
    assert offered(cli, monkeypatch, "-C", "sub", "run", "f") == ["flow.yaml"]
    assert offered(cli, monkeypatch, "run", "nowhere/") == []
    monkeypatch.setenv("HOME", str(tmp_path))
    assert offered(cli, monkeypatch, "run", "~/b") == ["~/b.yaml"]


def test_params_and_their_values_are_offered(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "dated.yaml").write_text(DATED)
    assert offered(cli, monkeypatch, "run", "dated.yaml", "-p", "") == ["day=", "region=", "dry="]
    assert offered(cli, monkeypatch, "run", "dated.yaml", "-p", "day=2026-01-31", "-p", "d") == ["dry="]
    assert offered(cli, monkeypatch, "plan", "dated.yaml", "-p", "region=") == ["region=north", "region=south"]
    assert offered(cli, monkeypatch, "validate", "dated.yaml", "--param", "dry=") == ["dry=true", "dry=false"]
    assert offered(cli, monkeypatch, "run", "dated.yaml", "-p", "day=") == []
    (tmp_path / "flow.yaml").write_text(DATED)
    assert offered(cli, monkeypatch, "run", "-p", "reg") == ["region="]


def test_a_flow_that_does_not_compile_is_completed_too(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("stages: [ship]\nparams: {n: {type: nmber}}\njobs: {build: {rnu: make}, bundle: {}}\n")
    assert offered(cli, monkeypatch, "run", "--until", "bu") == ["build", "bundle"]
    assert offered(cli, monkeypatch, "run", "--stage", "") == ["ship"]
    assert offered(cli, monkeypatch, "run", "-p", "") == ["n="]
    (tmp_path / "flow.yaml").write_text("jobs: {build: [\n")
    assert offered(cli, monkeypatch, "run", "--until", "bu") == []


def test_without_a_server_nothing_is_offered_and_no_error_is_shown(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_REDIS_URL", "redis://127.0.0.1:1")
    assert offered(cli, monkeypatch, "status", "") == []


def test_completion_starts_no_server(home: Path) -> None:
    environment = {**os.environ, "_FLOWQ_COMPLETE": "bash_complete", "COMP_WORDS": "flowq status ", "COMP_CWORD": "2"}
    done = subprocess.run(FLOWQ, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert not any(home.iterdir())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_the_script(cli: Cli, shell: str, tmp_path: Path) -> None:
    script = cli("completion", shell).out
    assert "_FLOWQ_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on PATH")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=30)


TYPED = [
    ("flowq stat", "flowq status "),
    ("flowq status 7k", f"flowq status {samples.RUN} "),
    ("flowq result @latest publ", "flowq result @latest publish "),
    ("flowq run part.yaml --stage sh", "flowq run part.yaml --stage ship "),
    ("flowq run part.yaml --until dep", "flowq run part.yaml --until deploy "),
    ("flowq graph part.yaml --until dep", "flowq graph part.yaml --until deploy "),
    (r"flowq result @latest build\[fmt=html,lang=e", "build[fmt=html,lang=en]"),
    ("flowq run par", "flowq run part.yaml "),
    ("flowq validate su", "flowq validate sub/"),
    ("flowq run dated.yaml --until pu", "flowq run dated.yaml --until publish "),
    ("flowq run dated.yaml -p re", "flowq run dated.yaml -p region="),
    ("flowq run dated.yaml -p region=no", "flowq run dated.yaml -p region=north "),
    ("flowq run dated.yaml -p dry=f", "flowq run dated.yaml -p dry=false "),
    ("flowq -C sub run --until pa", "flowq -C sub run --until pack "),
]
PART = "stages: [ship]\njobs:\n  build: {run: 'true'}\n  deploy: {stage: ship, run: 'true'}\n"
DATED = """\
params:
  day: {type: date, default: "${{ run.date }}"}
  region: {enum: [north, south], description: where}
  dry: {type: boolean, default: true}
jobs:
  publish: {run: "echo ${{ params.day }}"}
"""


@pytest.fixture
def typing(cli: Cli, report: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell with completion; the scripts and a flow file are in the test's directory."""
    for shell in ("bash", "zsh", "fish"):
        (tmp_path / f"completion.{shell}").write_text(cli("completion", shell).out)
    (tmp_path / "part.yaml").write_text(PART)
    (tmp_path / "parts.csv").write_text("1,2\n")
    (tmp_path / "dated.yaml").write_text(DATED)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "flow.yaml").write_text("jobs: {pack: {run: 'true'}}\n")
    environment = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}}
    return environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shell", "opening"),
    [
        (("bash", "--norc", "-i"), ("source ./completion.bash",)),
        (("zsh", "-f", "-i"), ("autoload -U compinit; compinit -u -D", "source ./completion.zsh")),
    ],
)
def test_typed_words_are_completed(
    typing: dict[str, str], tmp_path: Path, shell: tuple[str, ...], opening: tuple[str, ...]
) -> None:
    """A real shell on a real terminal completes the line when Tab is pressed."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} on PATH")
    person = pexpect.spawn(
        shell[0], list(shell[1:]), cwd=str(tmp_path), env=typing, encoding="utf-8", timeout=30, dimensions=(24, 150)
    )
    try:
        for line in ("PS1='> '", *opening):
            person.sendline(line)
        for typed, expected in TYPED:
            person.sendline("echo NO''W")
            person.expect_exact("NOW\r\n")
            person.send(typed + "\t")
            shown = expected.replace("]", r"\]") if shell[0] == "zsh" else expected
            rest = shown[len(typed) :] if shown.startswith(typed) else shown.rpartition("=")[2]
            person.expect_exact(rest.rstrip(" "))
            person.send("\x15")  # clear the line
    finally:
        person.close(force=True)


HOSTILE = "params: {kind: {enum: [two words, 'x$(touch pwned)`touch pwned`;touch pwned', 'ü&touch pwned']}}\njobs: {a: {run: 'true'}}\n"


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["two", "x", "ü"])
@pytest.mark.parametrize(
    ("shell", "opening"),
    [
        (("bash", "--norc", "-i"), "source ./completion.bash"),
        (("zsh", "-f", "-i"), "autoload -U compinit; compinit -u -D; source ./completion.zsh"),
        (("fish", "--no-config", "-i"), "source ./completion.fish"),
    ],
)
def test_values_of_a_flow_are_completed_as_one_word_and_never_executed(
    typing: dict[str, str], tmp_path: Path, shell: tuple[str, ...], opening: str, typed: str
) -> None:
    """A value that is no whole word, or not the one of the flow, would let the command fail."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"no {shell[0]} on PATH")
    (tmp_path / "kinds.yaml").write_text(HOSTILE)
    environment = typing | {"LC_ALL": "C.UTF-8", "HOME": str(tmp_path)}
    code = "$status" if shell[0] == "fish" else "$?"
    person = pexpect.spawn(
        shell[0], list(shell[1:]), cwd=str(tmp_path), env=environment, encoding="utf-8", timeout=30, dimensions=(24, 200)
    )
    try:
        person.sendline(opening)
        person.sendline("echo NO''W")
        person.expect("NOW\r*\n")
        person.send(f"flowq plan kinds.yaml -p kind={typed}\t")
        person.expect(["words", "touch.*pwned", "touch.*pwned"])
        person.send(f"\recho EXIT {code} NO''W\r")
        assert person.expect(["EXIT 0 NOW", r"EXIT [1-9]\d* NOW"]) == 0, person.before
    finally:
        person.close(force=True)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
def test_fish_completes(typing: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish on PATH")
    for typed, expected in TYPED:
        line = f"source completion.fish; complete -C {shlex.quote(typed)}"
        done = subprocess.run(
            ["fish", "--no-config", "-c", line],
            cwd=tmp_path,
            env=typing,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        offered_words = [word.partition("\t")[0] for word in done.stdout.splitlines()]
        assert expected.split()[-1] in offered_words, (typed, done.stdout, done.stderr)


def test_an_advice_is_never_cut() -> None:
    text = golden.plain(finding_lines(examine(replace(WELL, orphaned=("7k2m9x0d",))), Terminal(width=40)))
    assert "`flowq run --resume 7k2m9x0d` continues it, `flowq cancel 7k2m9x0d` ends it" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 40
