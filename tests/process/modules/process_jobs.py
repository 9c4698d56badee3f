"""Jobs for the process tests. Imported by horses, never by pytest: what is slow to import, where it is used."""

import datetime as dt
import enum
import os
import resource
import signal
import sys
import time
from pathlib import Path


class Color(enum.StrEnum):
    RED = "red"


class Failing(Exception):
    pass


class Maker:
    @staticmethod
    def make(value):
        return {"made": value}


async def later(value):
    import asyncio

    await asyncio.sleep(0)
    return value


def echo(value):
    return value


def noop():
    return None


def say(text, stream="stdout"):
    getattr(sys, stream).write(text)


def say_bytes(size, newline):
    line = b"x" * (size - 1) + (b"\n" if newline else b"x")
    os.write(1, line)


def values():
    return {"tuple": (1, 2), "date": dt.date(2026, 1, 31), "at": dt.datetime(2026, 1, 31, 6, 0), "color": Color.RED}


def returns(name):
    return {
        "nan": {"x": [float("nan")]},
        "set": {"a": {"b": {1}}},
        "key": {1: "a"},
        "bytes": b"x",
        "huge": 10**5000,
        "big": "x" * (2 << 20),
        "surrogate": "\udc80",
        "deep": _deep(200),
    }[name]


def _deep(levels):
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def fail(message="no luck"):
    raise Failing(message)


def fail_badly():
    class Broken(Exception):
        def __str__(self):
            raise ValueError("even this fails")

    raise Broken


def recurse():
    recurse()


def retry_me():
    from flowq.retry import Retry

    return Retry(max=3, interval=[1, 2])


def leave(code):
    sys.exit(code)


def leave_hard(code):
    os._exit(code)


def kill_me(number):
    os.kill(os.getpid(), number)
    time.sleep(60)


def segfault():
    import ctypes

    ctypes.string_at(0)


def kill_parent():
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def environment(*names):
    return {name: os.environ.get(name) for name in names}


def blocked_signals():
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def where():
    return {"cwd": os.getcwd(), "stdin": sys.stdin.read(), "leader": os.getsid(0) == os.getpid()}


def block(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(60)


def swallow(file):
    try:
        block(file)
    except BaseException:
        return "swallowed"


def swallow_exceptions(file):
    try:
        block(file)
    except Exception:
        return "swallowed"


def block_signals(file):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM, signal.SIGTERM})
    block(file)


def ignore_term(file):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    block(file)


def clean_up(file):
    try:
        time.sleep(60)
    finally:
        Path(file).write_text("cleaned")


def daemon(file, setsid=True):
    """Leave a daemon behind: double fork, own session, holds stdout."""
    pid = os.fork()
    if pid == 0:
        if setsid:
            os.setsid()
        if os.fork() == 0:
            block(file)
        os._exit(0)
    os.waitpid(pid, 0)
    while not (Path(file).exists() and Path(file).read_text()):  # written in two steps
        time.sleep(0.005)
    return "left a daemon"


def daemon_then_block(file, other):
    daemon(file)
    block(other)


def daemon_then_kill_parent(file):
    daemon(file)
    kill_parent()


def family(depth):
    """Fork a tree of 2 ** depth blocking sessions, and return without waiting for them."""
    for _ in range(depth):
        if os.fork() == 0:
            os.setsid()
    if os.getpid() != int(os.environ["FLOWQ_TEST_HORSE"]):
        time.sleep(60)


def plant(depth):
    os.environ["FLOWQ_TEST_HORSE"] = str(os.getpid())
    family(depth)
    return "planted"


def loaded(module):
    return module in sys.modules


def descriptors():
    return sorted(int(fd) for fd in os.listdir("/proc/self/fd"))


def current_job_id():
    from flowq.jobs.context import current_task

    task = current_task()
    return task and task["id"]


def parent_and(name):
    return [os.getppid(), os.environ.get(name)]


def own_id():
    from flowq import get_current_job

    job = get_current_job()
    return job and job.id


def report_death(job, connection, kind, value, trace):
    Path(os.environ["REPORT"]).write_text(job.id)


def task_as_text():
    from flowq.jobs import context

    return repr(context.current_task())


def time_out_with(name):
    secret = os.environ[name]
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)  # the rest of the timeout: it comes here and nowhere before
        time.sleep(60)
    except BaseException as error:
        raise type(error)(f"{error} with {secret}") from error


def write_in_turns(count):
    for number in range(count):
        os.write(1 + number % 2, b"%d\n" % number)


def print_in_turns(count):
    for number in range(count):
        (sys.stderr if number % 2 else sys.stdout).write(f"{number}\n")


def write_in_turns_by_children(count):
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            os.write(1 + number % 2, b"%d\n" % number)
            os._exit(0)
        os.waitpid(pid, 0)


def hungry(size, limit=None, group=None):
    """Take memory, below a limit of this process or in a control group."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if group is not None:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
    return len(bytearray(size))
