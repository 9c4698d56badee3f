"""`[executors.NAME]`: what is read, and what is said about mistakes. The tables of docs/executors.md are among the cases."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowq.exceptions import ConfigError, UsageError
from flowq.plan.resources import describe_resources, parse_resource, parse_resources
from flowq.worker.executor_settings import ExecutorSettings, load_executor, read_executor
from flowq.worker.executors.command import command_of
from tests.repository.makefile import ROOT

PIPE: dict[str, Any] = {"type": "pipe", "command": ["sh"]}
PAGE = (ROOT / "docs" / "executors.md").read_text(encoding="utf-8")
TABLES = [
    pytest.param(name, table, id=name)
    for block in re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name, table in tomllib.loads(block)["executors"].items()
]


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_the_tables_of_the_page(name: str, table: dict[str, Any]) -> None:
    if table["type"] in {"dask", "ray"}:
        pytest.importorskip({"dask": "distributed"}.get(table["type"], table["type"]))
    found = read_executor(name, table, "flowq.toml")
    assert found.per == ("job" if name == "hpc" else "host")


def test_there_are_tables_on_the_page() -> None:
    assert [parameter.id for parameter in TABLES] == ["lab", "here", "hpc", "box", "dask", "ray"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (3, "executors.x must be a table"),
        ({}, "type must be one of pipe, dask, ray, found None"),
        ({"type": "k8s"}, "type must be one of pipe, dask, ray, found 'k8s'"),
        ({"type": "pipe"}, "a pipe needs a command"),
        ({**PIPE, "comand": "sh"}, "unknown key 'comand', expected one of: type, command,"),
        ({**PIPE, "log": ["a"]}, "unknown key 'log'"),
        ({**PIPE, "command": "sh -c node"}, "command must be a list of strings, found 'sh -c node'"),
        ({**PIPE, "slots": 0}, "slots must be a number from 1 to 512, found 0"),
        ({**PIPE, "slots": True}, "slots must be a number from 1 to 512, found True"),
        ({**PIPE, "python": ""}, "python must be a string that is not empty"),
        ({**PIPE, "start_timeout": "soon"}, "start_timeout: expected a duration"),
        ({**PIPE, "per": "run"}, "per must be host or job, found 'run'"),
        ({**PIPE, "command": ["sh", "{cpu}"]}, "command has {cpu}, expected one of {python}, {host}, {cpus}"),
        ({**PIPE, "command": ["sh", "{cpus}"], "per": "host"}, 'it needs `per = "job"`'),
        ({**PIPE, "hosts": ["a"]}, "hosts and {host} in command need one another"),
        ({**PIPE, "command": ["ssh", "{host}"]}, "hosts and {host} in command need one another"),
        ({**PIPE, "command": ["ssh", "{host}", "{cpus}"], "hosts": ["a"]}, 'hosts is for `per = "host"`'),
        ({**PIPE, "ignore": ["ram"]}, "ignore has 'ram', expected some of cpus, memory, gpus, disk, time"),
        ({**PIPE, "address": "tcp://x"}, "address is for executors of type dask and ray"),
        ({"type": "dask"}, 'dask needs the address of a cluster, as in "tcp://scheduler:8786"'),
        ({"type": "dask", "address": "x", "command": ["sh"]}, "command is for executors of type pipe"),
        ({"type": "ray"}, 'ray needs the address of a cluster, as in "head:6379"'),
        ({"type": "ray", "address": "x", "ignore": ["ram"]}, "ignore has 'ram'"),
    ],
)
def test_mistakes_are_named(table: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_executor("x", table, "/p/flowq.toml")
    assert str(caught.value).startswith("/p/flowq.toml: executors.x")
    assert said in str(caught.value)


def test_an_executor_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no executor lab: `\[executors.lab\]` in flowq.toml describes it"):
        load_executor("lab")
    (tmp_path / "flowq.toml").write_text('[executors.here]\ntype = "pipe"\ncommand = ["sh"]\nstart_timeout = "90s"\n')
    with pytest.raises(ConfigError, match="there are here"):
        load_executor("lab")
    assert load_executor("here").start_timeout == 90


def test_a_command_has_what_a_job_asks_for() -> None:
    command = ["srun", "-c{cpus}", "--mem={memory}", "--gpus={gpus}", "-t{time}", "{python}", "-x{y}"]
    asked = parse_resources({"cpus": "4", "memory": "1.5G", "time": "26h"})
    assert command_of(command, {"python": "/p", "y": "{cpus}"}, asked) == [
        "srun",
        "-c4",
        "--mem=1536M",
        "-t26:00:00",
        "/p",
        "-x{cpus}",
    ]


@pytest.mark.parametrize(
    ("name", "value", "amount"),
    [
        ("memory", "8G", 8 * 1024**3),
        ("memory", "512MiB", 512 * 1024**2),
        ("disk", 1000, 1000),
        ("cpus", 4.0, 4),
        ("gpus", "0", 0),
        ("time", "1h30m", 5400),
    ],
)
def test_amounts(name: str, value: object, amount: float) -> None:
    assert parse_resource(name, value) == amount


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory", "8X"),
        ("memory", 0),
        ("memory", True),
        ("cpus", 0),
        ("cpus", "1.5"),
        ("gpus", -1),
        ("time", 0),
        ("disk", "9999T"),
    ],
)
def test_amounts_that_are_none(name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"resources.{name}: "):
        parse_resources({name: value})


def test_what_an_executor_serves() -> None:
    asked = {"cpus": 2.0, "time": 60.0}
    pipe = read_executor("lab", PIPE | {"command": ["srun", "-c{cpus}"]}, "flowq.toml")
    cluster = ExecutorSettings("hpc", "dask", "flowq.toml", address="tcp://x")
    assert 'executor lab does not pass on: put {time} into its command, or "time" into its list' in pipe.refusal(asked)
    assert 'it asks for time (`resources`), which executor hpc does not pass on: put "time" into its list' in cluster.refusal(
        asked
    )
    assert pipe.refusal({"cpus": 2.0}) == cluster.refusal({"gpus": 1.0, "disk": 5.0}) == ""
    assert replace(cluster, ignore=("time",)).refusal(asked) == ""


def test_amounts_are_shown_as_they_are_written() -> None:
    assert (
        describe_resources(parse_resources({"cpus": 4, "memory": "1.5G", "disk": 100, "time": "2h"}))
        == "cpus 4, memory 1.5G, disk 100, time 2h"
    )


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "flowq.toml").write_text('[executors.here]\ntype = "pipe"\ncommand = ["sh"]\n')
    flowq = [sys.executable, "-m", "flowq", "worker", "q", "--executor"]
    done = [
        subprocess.run(
            [*flowq, *more],
            cwd=tmp_path,
            env={"PATH": os.defpath, "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        for more in (["none"], ["here", "-w", "flowq.Worker"])
    ]
    assert [each.returncode for each in done] == [2, 2]
    assert done[0].stderr.startswith("error: no executor none: `[executors.none]` in flowq.toml describes it; there are here (")
    assert done[1].stderr.startswith("error: --executor is not for workers with classes or functions of their own")
