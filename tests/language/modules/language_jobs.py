"""Callables of the flows in these tests."""

import os
from pathlib import Path
from typing import Any


class TemporaryError(OSError):
    """An error that is worth a retry."""


def give(value: Any) -> Any:
    """Return the argument."""
    return value


def fail(message: str = "as asked") -> None:
    """Fail."""
    raise RuntimeError(message)


def fail_at(file: str) -> None:
    """Fail, and write the time in ns to a file."""
    import time

    with Path(file).open("a") as log:
        log.write(f"{time.time_ns()}\n")
    raise RuntimeError("as asked")


def fail_until(file: str, attempts: int, kind: str = "temporary") -> int:
    """Fail in the first attempts, counted in a file of the run's directory; return the number of the attempt."""
    with Path(file).open("a+") as log:
        log.write("x\n")
        log.seek(0)
        number = len(log.readlines())
    if number <= attempts:
        raise TemporaryError("not yet") if kind == "temporary" else ValueError("wrong")
    return number


def environment(*names: str) -> dict[str, str | None]:
    """Return variables of the job's environment."""
    return {name: os.environ.get(name) for name in names}


def wait_for(file: str) -> str:
    """Wait until a file exists in the run's directory."""
    import time

    for _ in range(3000):
        if Path(file).exists():
            return Path(file).read_text()
        time.sleep(0.01)
    raise TimeoutError(file)


def concurrent(file: str, seconds: float = 0.05) -> int:
    """Return the number of such jobs, including this one, that run at its start, counted by files in a directory."""
    import time

    directory = Path(file)
    directory.mkdir(exist_ok=True)
    mine = directory / os.environ["FLOWQ_JOB_ID"]
    mine.touch()
    number = len(list(directory.iterdir()))
    time.sleep(seconds)
    mine.unlink()
    return number


def unkeepable() -> object:
    """Return a value that is not JSON."""
    return object()


def fail_at_first(number: int, attempt: int) -> int:
    """Return the number; every thousandth fails in the first attempt of the run."""
    if attempt == 1 and number % 1000 == 7:
        raise RuntimeError("as asked")
    return number
