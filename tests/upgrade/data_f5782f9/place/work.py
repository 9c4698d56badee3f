"""What the plain jobs and the flows of the fixture call."""

import os
import time
from pathlib import Path
from typing import Any


def add(left: int, right: int = 0) -> int:
    """Add two numbers."""
    return left + right


def label(*parts: str) -> dict[str, str]:
    """Return the parts of a name, joined."""
    return {"label": "-".join(parts)}


def fail() -> None:
    """Fail."""
    raise ValueError("this job fails")


def mended() -> str:
    """Fail until the file `mended` is there."""
    if not Path("mended").exists():
        raise ConnectionError("not mended yet")
    return "mended"


def wait(name: str) -> str:
    """Wait until the file `go` is there."""
    Path(f"waits-{name}").touch()
    while not Path("go").exists():
        time.sleep(0.05)
    return f"{name} by {os.path.basename(os.getcwd())}"


def letters() -> list[str]:
    """Return the items of the foreach."""
    return ["a", "b", "c", "d", "e", "f"]


def joined(parts: list[str]) -> str:
    """Join the results of the foreach."""
    return "".join(parts)


def tell_success(job: Any, connection: Any, result: Any) -> None:
    """Note that the callback of a success was called."""
    Path(f"success-{job.id}").write_text(repr(result), encoding="utf-8")


def tell_failure(job: Any, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    """Note that the callback of a failure was called."""
    Path(f"failure-{job.id}").write_text(kind.__name__, encoding="utf-8")


def tell_stopped(job: Any, connection: Any) -> None:
    """Note that the callback of a stop was called."""
    Path(f"stopped-{job.id}").write_text(str(job.get_status()), encoding="utf-8")
