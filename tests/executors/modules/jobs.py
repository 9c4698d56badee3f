"""Jobs of the conformance suite. Imported by horses, never by pytest."""

import os
import signal
import sys
import time
from pathlib import Path


def echo(*values: object) -> object:
    print("called with", *values)
    return {"values": list(values), "home": os.getcwd()}


def fail() -> None:
    raise LookupError("as asked")


def alternate(count: int) -> None:
    for number in range(count):
        os.write(1 + number % 2, b"%d\n" % number)


def flood(size: int) -> int:
    line = b"x" * 1023 + b"\n"
    for _ in range(size // 1024):
        os.write(1, line)
    return size


def flood_and_tell(size: int) -> None:
    """Write so many MiB and tell in a file how many were taken; the first one at once, the others when the file `go` is there. End with `end`."""
    for number in range(1, size + 1):
        flood(1024 * 1024)
        Path("told").write_text(str(number))
        while not Path("go").exists():
            time.sleep(0.01)
    while not Path("end").exists():
        time.sleep(0.01)


def sleep(name: str = "pid") -> None:
    Path(name).write_text(str(os.getpid()))
    time.sleep(60)


def refuse() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            sleep()
        except BaseException as error:
            print("ignored", type(error).__name__, flush=True)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def daemon() -> None:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            sleep("daemon")
        os._exit(0)
    os.wait()
    while not (Path("daemon").exists() and Path("daemon").read_text()):  # written in two steps
        time.sleep(0.01)


def big(size: int) -> str:
    return "x" * size


def secret() -> dict[str, str]:
    print("the secret is", os.environ["TOKEN"])
    print("the secret is", os.environ["TOKEN"], file=sys.stderr)
    return {"secret": os.environ["TOKEN"], "worker": os.environ.get("WORKER_SECRET", "")}


def second_time(name: str) -> int:
    attempt = int(os.environ["FLOWQ_ATTEMPT"])
    if attempt == 1:
        sleep(name)
    return attempt
