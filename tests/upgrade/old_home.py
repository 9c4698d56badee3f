"""The old data directory, unpacked into a home of its own and served by today's embedded server."""

import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import redis

from flowq.store import Store
from tests.cli.process import FLOWQ, Process
from tests.support import invariants
from tests.support.wait import remove
from tests.upgrade.place import NAMESPACE, PLACE, SIGNED

DATA: Final = Path(__file__).parent / "data_f5782f9"
EXPECTED: Final[dict[str, Any]] = json.loads((DATA / "expected.json").read_text("utf-8"))


class OldHome:
    """A home with the old data. A context manager: its server runs inside the block only.

    Args:
        data: the directory with the data.
        place: where its flows ran.
        namespaces: in which it has something.
    """

    def __init__(self, data: Path = DATA, place: Path = PLACE, namespaces: tuple[str, ...] = (NAMESPACE, SIGNED)) -> None:
        self.place = place
        self.namespaces = namespaces
        self.root = Path(tempfile.mkdtemp(prefix="fq-old-", dir="/tmp"))
        self._processes: list[Process] = []
        with tarfile.open(data / "home.tar.gz") as archive:
            archive.extractall(self.root, filter="data")

    def __enter__(self) -> Self:
        self.call("server", "start")
        self.client = redis.Redis(unix_socket_path=f"{self.root}/server.sock")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.end()
        self.client.close()
        self.call("server", "stop", "--force")
        remove(self.root)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a command uses this home."""
        return {"FLOWQ_HOME": str(self.root), "FLOWQ_LINGER": "1", "FLOWQ_NAMESPACE": NAMESPACE}

    @property
    def address(self) -> str:
        """The address of the server."""
        return f"unix://{self.root}/server.sock"

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `flowq` in the directory of the flows."""
        process = Process(*arguments, cwd=self.place, env={**self.environment, **(env or {})})
        self._processes.append(process)
        return process

    def call(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
        """Execute `flowq`, which must end with this code; return its output and errors."""
        done = subprocess.run(
            [*FLOWQ, *arguments],
            cwd=self.place,
            env={**os.environ, **self.environment, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"flowq {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def check(self) -> None:
        """Assert the invariants of its namespaces."""
        for namespace in self.namespaces:
            invariants.check(Store(self.client, namespace=namespace).open())


def contained(expected: Any, found: Any, where: str = "") -> list[str]:
    """Return the paths where a document lacks or contradicts an expected value; additional keys are ignored."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [
            line
            for name, value in expected.items()
            for line in (contained(value, found[name], f"{where}.{name}") if name in found else [f"{where}.{name} is missing"])
        ]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [
            line
            for index, (value, now) in enumerate(zip(expected, found, strict=True))
            for line in contained(value, now, f"{where}[{index}]")
        ]
    return [] if expected == found else [f"{where}: expected {expected!r}, found {found!r}"]
