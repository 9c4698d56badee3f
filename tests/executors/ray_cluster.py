"""A private Ray cluster: a head and another node, each with processes of its own, as `ray start` starts them."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.support.launcher import MARK
from tests.support.ports import free_ports
from tests.support.wait import until

_STORE = 100 * 1024 * 1024  # bytes of shared memory per node
_NODES = 2


@contextmanager
def running(directory: Path, mark: str, places: int) -> Iterator[str]:
    """Run a cluster each of whose nodes has places for so many jobs; yield the address of its head. What this process starts meanwhile has access to it."""
    log = directory / "ray.log"
    (port,) = free_ports(1)
    place = f"/tmp/fq-ray-{port}"  # its sockets are there, whose names must be short
    address = f"127.0.0.1:{port}"
    access = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ.update(access)
    environment = os.environ | {MARK: mark, "RAY_USAGE_STATS_ENABLED": "0"}
    common = [
        "--node-ip-address=127.0.0.1",
        f"--num-cpus={places}",
        "--num-gpus=1",
        f"--object-store-memory={_STORE}",
        "--block",
    ]
    head = ["--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={place}"]
    with log.open("wb") as stream:
        nodes = [_start(stream, environment, *common, *head)]
        try:
            until(lambda: _started(nodes, log), timeout=100, message="the head of Ray to start")
            nodes += [_start(stream, environment, *common, f"--address={address}") for _ in range(_NODES - 1)]
            until(lambda: _started(nodes, log), timeout=100, message="the nodes of Ray to start")
            yield address
        finally:
            for node in reversed(nodes):
                node.send_signal(signal.SIGTERM)
            for node in nodes:
                try:
                    node.wait(20)
                except subprocess.TimeoutExpired:
                    node.kill()
                    node.wait()
            for name in access:
                del os.environ[name]
            shutil.rmtree(place, ignore_errors=True)


def _started(nodes: "list[subprocess.Popen[bytes]]", log: Path) -> bool:
    """Return whether all nodes run; one that has ended never will."""
    text = log.read_text()
    assert all(node.poll() is None for node in nodes), f"a node of Ray has ended: {text[-1500:]}"
    return text.count("Ray runtime started") == len(nodes)


def _start(stream: IO[bytes], environment: dict[str, str], *arguments: str) -> "subprocess.Popen[bytes]":
    argv = [str(Path(sys.executable).with_name("ray")), "start", *arguments]
    return subprocess.Popen(argv, stdout=stream, stderr=stream, env=environment, start_new_session=True)
