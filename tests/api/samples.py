"""Functions that the tests enqueue: real jobs of a real module."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from flowq import Job, Queue, Retry, SimpleWorker, get_current_job


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


def result_of_parent() -> Any:
    job = get_current_job()
    assert job is not None
    assert job.dependency is not None
    return job.dependency.result


def write(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text)


def return_retry(max: int = 1, interval: float | list[float] = 0) -> Retry:  # noqa: A002 - as the documents write it
    return Retry(max=max, interval=interval)


def class_of_client() -> str:
    job = get_current_job()
    assert job is not None
    return type(job.connection).__name__


def needs(path: str) -> None:
    """Fail unless a file is there."""
    Path(path).stat()


def append(path: str, text: str) -> None:
    with Path(path).open("a") as file:
        file.write(text + "\n")


def fail_until(path: str, attempts: int) -> int:
    write(path, "x")
    count = len(Path(path).read_text())
    if count < attempts:
        raise ValueError(f"attempt {count}")
    return count


def by_turns(path: str, steps: list[str]) -> Any:
    """Return a `Retry`, fail or return, by the step of this execution."""
    write(path, "x")
    step = steps[len(Path(path).read_text()) - 1]
    if step == "fail":
        raise ValueError(step)
    return Retry(max=len(steps)) if step == "retry" else step


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("this object cannot be pickled")


def unpicklable_result() -> Unpicklable:
    return Unpicklable()


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def pause(seconds: float) -> None:
    time.sleep(seconds)


def mark_and_hang(path: str) -> None:
    write(path, "started\n")
    hang()


def mark_once_and_hang(path: str) -> str:
    """Hang the first time, return the second time."""
    if Path(path).exists():
        return "again"
    mark_and_hang(path)
    return "unreachable"


def wait_for_file(path: str) -> str:
    """Create `<path>.started`, and return when `path` exists."""
    Path(path + ".started").touch()
    while not Path(path).exists():
        time.sleep(0.01)
    return "seen"


def meta_then_wait(path: str) -> None:
    job = get_current_job()
    assert job is not None
    job.meta["progress"] = 50
    job.save_meta()
    wait_for_file(path)


def swallow_everything() -> str:
    try:
        hang()
    except Exception:  # noqa: BLE001 - what is tested
        return "swallowed"
    return "unreachable"


def die(number: int = 9) -> None:
    os.kill(os.getpid(), number)


async def wait_and_add(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


class Counter:
    """A class with methods that can be enqueued; the object is pickled."""

    def __init__(self, start: int) -> None:
        self.start = start

    def plus(self, number: int) -> int:
        return self.start + number

    def __call__(self, number: int) -> int:
        return self.start * number

    @classmethod
    def named(cls) -> str:
        return cls.__name__


def on_success(job: Job, connection: Any, result: Any) -> None:
    write(job.meta["log"], f"success {result} {connection is not None}\n")


async def on_success_later(job: Job, connection: Any, result: Any) -> None:
    await asyncio.sleep(0)
    write(job.meta["log"], f"success {result} later\n")


def on_failure(job: Job, connection: Any, kind: Any, value: Any, trace: Any) -> None:
    write(job.meta["log"], f"failure {kind.__name__}\n")


def on_stopped(job: Job, connection: Any) -> None:
    write(job.meta["log"], "stopped\n")


def bad_callback(job: Job, connection: Any, *rest: Any) -> None:
    raise RuntimeError("the callback broke")


def slow_callback(job: Job, connection: Any, *rest: Any) -> None:
    hang()


def callback_that_hangs_once(job: Job, connection: Any, *rest: Any) -> None:
    again = Path(job.meta["log"]).exists()
    write(job.meta["log"], "callback\n")
    if not again:
        hang()


def note_status(job: Job, connection: Any, *rest: Any) -> None:
    """A callback that stores the status that it is shown."""
    job.meta["status"] = str(job.get_status(refresh=False))
    job.save_meta()


def note_handled(job: Job, *reason: Any) -> None:
    """An exception handler that stores that it was called."""
    job.meta["handled"] = True
    job.save_meta()


def leave_a_daemon() -> int:
    """Leave a process in a session of its own, which holds all descriptors for eight seconds; return its number."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(8)
        os._exit(0)
    return pid


def work_and_sleep(queue: str) -> None:
    """Execute the jobs of another queue in this process."""
    job = get_current_job()
    assert job is not None
    SimpleWorker([Queue(queue, connection=job.connection)]).work(burst=True)
    time.sleep(5)


def enqueue_in_sync_mode() -> str:
    from flowq import Queue

    return str(Queue("inner", is_async=False).enqueue(add, 1).get_status())


def spin() -> None:
    while True:
        pass


def class_of_current_job() -> str:
    return type(get_current_job()).__name__


def enter_and_leave(path: str) -> None:
    write(path, "in\n")
    time.sleep(0.05)
    write(path, "out\n")


def save_progress() -> None:
    job = get_current_job()
    assert job is not None
    job.meta["progress"] = 100
    job.save_meta()


class Unreadable:
    """What a worker and clients of another version cannot decode any more."""

    def __reduce__(self) -> Any:
        return refuse_to_decode, ()


def refuse_to_decode() -> None:
    raise RuntimeError("decoded")


def return_unreadable() -> Unreadable:
    return Unreadable()


def keywords(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return {"args": list(args), **kwargs}


class Notifier:
    """Has methods of each kind, as callbacks."""

    def __call__(self, *_: Any) -> None:
        raise AssertionError("it is refused")

    def bound(self, *_: Any) -> None:
        raise AssertionError("it is refused")

    @classmethod
    def of_class(cls, job: Job, *_: Any) -> None:
        job.meta["told"] = cls.__name__
        job.save_meta()

    @staticmethod
    def static(job: Job, *_: Any) -> None:
        job.meta["told"] = "static"
        job.save_meta()


def fork(way: str) -> int:
    """Fork a child that returns, exits or raises; return its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if way == "exit":
        raise SystemExit(3)
    if way == "raise":
        raise ValueError(way)
    return -1


def fork_and_fail(way: str) -> None:
    code = fork(way)
    if code >= 0:
        raise RuntimeError(f"the child ended with {code}")


def forking_callback(job: Job, connection: Any, *rest: Any) -> None:
    for way in ("return", "exit", "raise"):
        if (code := fork(way)) < 0:
            return
        write(job.meta["log"], f"callback {way} {code}\n")


def exiting_callback(job: Job, connection: Any, *rest: Any) -> None:
    write(job.meta["log"], "exiting\n")
    os._exit(3)


def deaf_callback(job: Job, connection: Any, *rest: Any) -> None:
    """Hang where the timeout's exception does not get through."""
    write(job.meta["log"], "deaf\n")
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGALRM, signal.SIGTERM))
    hang()
