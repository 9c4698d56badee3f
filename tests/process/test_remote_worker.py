"""A worker on what is another machine to it: a network of its own, and a file system that has neither the project nor the server."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.flows.actions.shipment import with_shipment
from flowq.flows.actions.submit import submit
from flowq.flows.views.snapshot import read_view
from flowq.states import RunStatus
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FLOW = """
jobs:
  read: {run: cat data/in.txt}
  look: {call: "helper:look", kwargs: {project: "${{ params.project }}"}, depends_on: read}
  write: {run: "echo made > made.txt && cat made.txt", depends_on: look}
params: {project: {type: string}}
"""
HELPER = """
import os

def look(project):
    devices = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
    return {"project": os.path.exists(project), "devices": sorted(devices), "users": os.path.exists("/etc"), "home": os.getcwd()}
"""


@dataclass(frozen=True)
class Machine:
    """The other machine: what starts a program on it, and the address at which it reaches this one."""

    prefix: tuple[str, ...]
    gateway: str
    device: str


def call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)


@pytest.fixture
def machine() -> Iterator[Machine]:
    """A network namespace that a pair of devices joins with this one, and in it an empty root with Python alone."""
    lacking = [program for program in ("ip", "bwrap") if shutil.which(program) is None]
    if lacking or os.geteuid() != 0:
        pytest.skip(f"needs root, and the programs ip and bwrap ({', '.join(lacking) or 'not root'})")
    number = os.getpid()
    name, here, there = f"flowq{number}", f"fqh{number}"[:15], f"fqt{number}"[:15]
    net = f"10.203.{number // 64 % 256}.{number % 64 * 4}".rpartition(".")
    gateway, address = (f"{net[0]}.{int(net[2]) + last}" for last in (1, 2))
    with ExitStack() as stack:
        try:
            call("ip", "netns", "add", name)
            stack.callback(call, "ip", "netns", "del", name)
            call("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            stack.callback(lambda: subprocess.run(("ip", "link", "del", here), check=False, capture_output=True))
            call("ip", "addr", "add", f"{gateway}/30", "dev", here)
            call("ip", "link", "set", here, "up")
            call("ip", "netns", "exec", name, "ip", "addr", "add", f"{address}/30", "dev", there)
            call("ip", "netns", "exec", name, "ip", "link", "set", there, "up")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespace can be made here: {error.stderr.strip()}")
        python = [part for path in {sys.prefix, sys.base_prefix, str(ROOT / "flowq")} for part in ("--ro-bind", path, path)]
        links = [part for path in ("bin", "lib", "lib64") for part in ("--symlink", f"usr/{path}", f"/{path}")]
        empty = ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--dir", "/cache", "--chdir", "/")
        prefix = (
            "ip",
            "netns",
            "exec",
            name,
            "bwrap",
            "--die-with-parent",
            "--ro-bind",
            "/usr",
            "/usr",
            *links,
            *empty,
            *python,
        )
        yield Machine(prefix, gateway, here)


@pytest.fixture
def reached(machine: Machine) -> Iterator[PrivateServer]:
    """A server that listens where the other machine reaches it."""
    private = PrivateServer().start("--port", "16379", "--bind", machine.gateway, "--protected-mode", "no")
    yield private
    private.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "data").mkdir(parents=True)
    for name, text in {"flow.yaml": FLOW, "helper.py": HELPER, "data/in.txt": "travelled\n"}.items():
        (root / name).write_text(text)
    return root


def test_a_worker_elsewhere_executes_a_run_that_is_shipped(machine: Machine, reached: PrivateServer, project: Path) -> None:
    store = Store(reached.client())
    compiled = compile_file(project / "flow.yaml", params={"project": str(project)})
    assert compiled.plan is not None, compiled.diagnostics
    run = submit(store, with_shipment(compiled.plan), directory=project)
    url = f"redis://{machine.gateway}:16379/0"
    with WorkerProcess(url, "default", namespace="flowq", env={"FLOWQ_CACHE": "/cache"}, prefix=machine.prefix):
        until(lambda: store.runs.require(run).ended, timeout=40, message="the run to end")
    view = read_view(store, run)
    assert view.status is RunStatus.FINISHED, [job.error for job in view.jobs]
    assert b"".join(entry.data for entry in store.runs.logs(run)) == b"travelled\nmade\n"
    result = store.jobs.result(f"{run}-1")
    assert result is not None
    found = json.loads(result.value or b"")
    assert found["project"] is False
    assert [device for device in found["devices"] if device != "lo"] == [machine.device.replace("fqh", "fqt")]
    assert found["users"] is False, "its file system has nothing but Python"
    assert found["home"].startswith("/cache/")
    assert not (project / "made.txt").exists(), "jobs write into the copy"
