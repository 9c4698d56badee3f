"""The engines that the conformance suite runs on: how each is started here, and why it cannot be."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.executors import dask_cluster, ray_cluster, slurm, sshd
from tests.support.launcher import MARK

NODE = [sys.executable, "-P", "-m", "flowq.worker.node"]
NAME = "lab"

ENGINES = [
    "fork",
    "sh",
    *(pytest.param(name, marks=pytest.mark.engines) for name in ("job", "bwrap", "ssh", "srun", "dask", "ray")),
]
"""Names of engines. `fork` is a worker without an executor, `job` a command for each job."""

REMOTE = [engine for engine in ENGINES if engine != "fork"]


@contextmanager
def table(engine: str, directory: Path, mark: str, places: int, **more: object) -> Iterator[str]:
    """Yield the table of flowq.toml for an engine, which runs meanwhile; "" for none. Skips the test where its programs are missing.

    `places`: jobs at once. `more`: of the engine `pipe`, its keys.
    """
    node = ["env", f"{MARK}={mark}", *NODE]
    match engine:
        case "fork":
            yield ""
        case "sh":
            yield _table([*node], slots=places)
        case "pipe":
            yield _table(**{"environment": [MARK], "slots": places, **more})
        case "job":
            yield _table(["nice", "-n{cpus}", *node], per="job", slots=places)
        case "bwrap":
            _need("bwrap")
            argv = ["bwrap", "--dev-bind", "/", "/", "--die-with-parent", *node]
            _try([*argv[: -len(node)], "true"])
            yield _table(argv, slots=places)
        case "ssh":
            _need("sshd", "ssh", "ssh-keygen")
            with sshd.running(directory) as (port, key):
                options = [
                    f"-p{port}",
                    f"-i{key}",
                    "-oStrictHostKeyChecking=no",
                    "-oUserKnownHostsFile=/dev/null",
                    "-oLogLevel=ERROR",
                ]
                yield _table(["ssh", *options, "{host}", *node], hosts=["localhost", "127.0.0.1"], slots=places)
        case "srun":
            _need("srun", "slurmctld", "slurmd")
            with slurm.running(directory) as variables:
                yield _table(
                    ["env", *variables, "srun", "-u", "-n1", "--overlap", "--cpus-per-task={cpus}", "--mem={memory}", *node],
                    per="job",
                    slots=places,
                )
        case "dask":
            pytest.importorskip("distributed")
            with dask_cluster.running(directory, mark, places) as address:
                yield _cluster("dask", address, places)
        case "ray":
            pytest.importorskip("ray")
            with ray_cluster.running(directory, mark, places) as address:
                yield _cluster("ray", address, places)
        case _:
            raise AssertionError(engine)


def _cluster(kind: str, address: str, places: int) -> str:
    return f'[executors.{NAME}]\ntype = "{kind}"\naddress = "{address}"\nslots = {places}\nstart_timeout = "60s"\n'


def _table(command: object, **more: object) -> str:
    lines = {"type": "pipe", "command": command, "start_timeout": "60s", **more}
    return f"[executors.{NAME}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in lines.items())


def _toml(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else '"' + str(value).replace('"', '\\"') + '"'


def _need(*programs: str) -> None:
    lacking = [name for name in programs if shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin") is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} not installed")


def _try(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{argv[0]} does not work here: {done.stderr.strip()}")
