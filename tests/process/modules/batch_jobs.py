"""Jobs that share a horse, and leave something of one kind in it."""

import gc
import os
import resource
import select
import signal
import sys
import threading

from flowq import Retry

HELD = []
THREADS = threading.active_count()
PRIORITY = os.getpriority(os.PRIO_PROCESS, 0)
PLACE = os.sched_getaffinity(0)


def own_pid():
    return os.getpid()


def leftovers():
    """Return what there is of what the jobs below leave."""
    found = {
        "variable": "LEFT" in os.environ,
        "directory": os.getcwd() == "/",
        "path": "/left" in sys.path,
        "stream": sys.stdout is sys.stderr,
        "handler": signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN,
        "mask": bool(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timer": signal.getitimer(signal.ITIMER_PROF)[0] > 0,
        "thread": threading.active_count() > THREADS,
        "held": bool(HELD),
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 64,
        "priority": os.getpriority(os.PRIO_PROCESS, 0) != PRIORITY,
        "place": os.sched_getaffinity(0) != PLACE,
    }
    return [name for name, is_there in found.items() if is_there]


def a_variable(_directory):
    os.environ["LEFT"] = "x"
    return os.getpid()


def a_directory(_directory):
    os.chdir("/")
    return os.getpid()


def a_umask(_directory):
    os.umask(0o27)
    return os.getpid()


def a_path(_directory):
    sys.path.append("/left")
    return os.getpid()


def a_module(directory):
    sys.path.append(directory)
    __import__("found_late")
    sys.path.remove(directory)
    return os.getpid()


def a_stream(_directory):
    sys.stdout = sys.stderr
    return os.getpid()


def an_input(_directory):
    file = os.open("/dev/zero", os.O_RDONLY)
    os.dup2(file, 0)
    os.close(file)
    return os.getpid()


def a_handler(_directory):
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    return os.getpid()


def a_mask(_directory):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    return os.getpid()


def a_timer(_directory):
    signal.setitimer(signal.ITIMER_PROF, 1000.0)
    return os.getpid()


def an_alarm():
    signal.setitimer(signal.ITIMER_REAL, 1000.0)


def alarm_left():
    return signal.getitimer(signal.ITIMER_REAL)[0]


def a_file(_directory):
    HELD.append(open(os.devnull))  # noqa: SIM115 - left open
    return os.getpid()


def a_thread(_directory):
    threading.Thread(target=select.select, args=((), (), (), 60), daemon=True).start()
    return os.getpid()


def a_process(_directory):
    if os.fork() == 0:
        select.select((), (), (), 60)
    return os.getpid()


def a_limit(_directory):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    return os.getpid()


def a_policy(_directory):
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    return os.getpid()


def a_priority(_directory):
    os.nice(1)
    return os.getpid()


def a_place(_directory):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return os.getpid()


def memory(_directory):
    HELD.append(bytearray(64 * 1024 * 1024))
    return os.getpid()


def an_exception(_directory):
    HELD.append(1)
    raise ValueError


def a_retry(_directory):
    HELD.append(1)
    return Retry(1)


def settings(number):
    """Change what goes on from job to job; return what it was before."""
    found = [HELD[0] if HELD else None, sys.getrecursionlimit(), gc.isenabled()]
    HELD[:] = [number]
    sys.setrecursionlimit(500)
    gc.disable()
    return found


def tell_environment():
    sys.stdout.write(f"of {os.environ['FLOWQ_JOB_ID']}\n")
    sys.stderr.write(f"{os.getpid()}\n")
    return [os.environ.get("OWN"), os.environ.get("HOME"), os.environ["FLOWQ_JOB_ID"]]


def block():
    select.select((), (), (), 60)


def block_hard():
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    select.select((), (), (), 60)


def say_and_block(file):
    with open(file, "w", encoding="ascii") as opened:
        opened.write(str(os.getpid()))
    select.select((), (), (), 60)
