"""The tasks of a small web application, as written for RQ."""

import os
import signal
import time
from pathlib import Path

from rq import Retry, get_current_job
from rq.decorators import job
from settings import connection

LOG = Path(os.environ["APP_LOG"])


def note(text):
    with LOG.open("a") as file:
        file.write(text + "\n")


def resize(width, height=1):
    current = get_current_job()
    current.meta["progress"] = "done"
    current.save_meta()
    return width * height


def load(day):
    note(f"load {day}")
    return {"day": day, "rows": 3}


def report(day, *, format):
    note(f"report {day} {format}")
    return f"{day}.{format}"


def flaky(name, good_at):
    path = LOG.with_name(name)
    with path.open("a") as file:
        file.write("x")
    tries = len(path.read_text())
    if tries < good_at:
        raise ConnectionError(f"try {tries}")
    return tries


def broken():
    raise ValueError("no such customer")


def asks_again(limit):
    return Retry(max=limit, interval=0)


def echo(*args, **kwargs):
    return [list(args), kwargs]


def sleep(seconds):
    time.sleep(seconds)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def times(self, number):
        return self.factor * number


def tick():
    note("tick")
    return "tick"


def endless():
    while True:
        time.sleep(0.1)


async def fetch(number):
    return number + 1


@job("mails", connection=connection, timeout=30, result_ttl=60)
def send_mail(to, subject="hello"):
    note(f"mail to {to}: {subject}")
    return to


def succeeded(job, connection, result):
    note(f"succeeded {job.func_name} {result}")


def stopped(job, connection):
    note(f"stopped {job.func_name}")


def failed(job, connection, kind, value, traceback):
    note(f"failed {kind.__name__}: {value}")
