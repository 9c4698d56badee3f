"""Functions that the tests enqueue: real jobs of a real module."""

import os
import time
from pathlib import Path
from typing import Any

from flowq import Retry, get_current_job


def add(x: int, y: int = 0) -> int:
    return x + y


def echo(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return args, kwargs


def nothing() -> None:
    return None


def div_by_zero(x: float) -> float:
    return x / 0


def hang() -> None:
    while True:
        time.sleep(60)


def pid() -> int:
    return os.getpid()


def who_am_i() -> str:
    job = get_current_job()
    assert job is not None
    job.meta["handled_by"] = "me"
    job.save_meta()
    return job.id


def write(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


def return_retry(max: int = 1, interval: float = 0) -> Retry:  # noqa: A002 - as the documents write it
    return Retry(max=max, interval=interval)


def fail_until(path: str, attempts: int) -> int:
    write(path, "x")
    count = len(Path(path).read_text())
    if count < attempts:
        raise ValueError(f"attempt {count}")
    return count


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("this object cannot be pickled")


def unpicklable_result() -> Unpicklable:
    return Unpicklable()
