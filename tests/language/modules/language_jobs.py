"""What the flows of these tests call."""

import os
from pathlib import Path
from typing import Any


class TemporaryError(OSError):
    """Worth another attempt."""


def give(value: Any) -> Any:
    """Return the argument."""
    return value


def fail(message: str = "as asked") -> None:
    """Fail."""
    raise RuntimeError(message)


def fail_at(file: str) -> None:
    """Fail, and leave the time of it in a file, in ns."""
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
    """Wait until a file of the run's directory is there."""
    import time

    for _ in range(3000):
        if Path(file).exists():
            return Path(file).read_text()
        time.sleep(0.01)
    raise TimeoutError(file)


def concurrent(file: str, seconds: float = 0.05) -> int:
    """Return how many jobs of this kind ran at once when this one began, itself included: names in a directory, one each."""
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
    """Return what is no JSON."""
    return object()


def fail_at_first(number: int, attempt: int) -> int:
    """Return the number; every thousandth fails in the first attempt of the run."""
    if attempt == 1 and number % 1000 == 7:
        raise RuntimeError("as asked")
    return number
