"""Ids of processes that tests look for."""

from pathlib import Path

from tests.support.wait import until


def pid_in(file: Path) -> int:
    """Return the id that a job writes into a file, once it is there."""
    until(lambda: file.exists() and file.read_text().strip(), message=f"a pid in {file}")
    return int(file.read_text())


def children_of(pid: int) -> list[int]:
    """Return the processes that the main thread of a process has started (Linux)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
