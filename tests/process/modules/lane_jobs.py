"""Jobs that leave what they can behind, and jobs that look for it."""

import fcntl
import marshal
import os
import signal
import stat
import sys
import threading
import time

SIGNALS = [number for number in signal.valid_signals() if number not in {signal.SIGKILL, signal.SIGSTOP}]


def stream():
    """Return the descriptor that a horse has its task from."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                return fd
        except OSError:  # that of the directory
            continue
    raise LookupError


def state():
    """Return what a job finds that another one could have left."""
    pipes = [os.fstat(fd) for fd in (1, 2)]
    return {
        "descriptors": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
        "environment": sorted(name for name in os.environ if name.startswith("LEFT")),
        "directory": os.getcwd(),
        "umask": os.umask(0o22),
        "handlers": [getattr(signal.getsignal(number), "__qualname__", signal.getsignal(number)) for number in SIGNALS],
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0] < 61.0,
        "timers": signal.getitimer(signal.ITIMER_PROF),
        "path": [entry for entry in sys.path if "left" in entry],
        "modules": [name for name in sys.modules if name.startswith("left")],
        "threads": threading.active_count(),
        "flags": [fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (0, 1, 2, stream())],
        "owners": [fcntl.fcntl(fd, fcntl.F_GETOWN) for fd in (1, 2)],
        "sizes": [fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) for fd in (1, 2)],
        "modes": [pipe.st_mode for pipe in pipes],
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "input": os.read(0, 100).decode(),
    }


def leave():
    """Change all that `state` looks at, and print an unfinished line."""
    os.environ["LEFT"] = os.environ["LEFT_2"] = "x"
    os.chdir("/")
    os.umask(0o77)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGHUP})
    signal.setitimer(signal.ITIMER_REAL, 1000.0)
    signal.setitimer(signal.ITIMER_PROF, 1000.0)
    sys.path.insert(0, "/left")
    sys.modules["left"] = sys
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    for fd in (1, 2):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        os.fchmod(fd, 0o666)
    for fd in (1, 2, stream()):
        os.set_blocking(fd, False)
    os.dup2(os.open("/dev/null", os.O_RDONLY), 77)
    os.nice(1)
    sys.stdout.write("an unfinished line")
    os.write(2, b"and one more")


def leave_processes():
    """Leave processes that go on to write to the output and to the stream."""
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            while True:
                os.write(1, b"of another job\n")
                os.write(stream(), _frame({"outcome": "finished", "value": b'"of another job"', "exit_code": 0}))


def tell_twice():
    """Write an outcome before the own one."""
    os.write(stream(), _frame({"outcome": "finished", "value": b'"of a liar"', "exit_code": 0}))


def tell_more():
    """Write the beginning of an outcome before the own one: together they are no message."""
    os.write(stream(), _frame({"outcome": "finished", "value": b'"of a liar"', "exit_code": 0})[:20])


def tell(message):
    """Write a message, and wait to be killed for it."""
    os.write(stream(), _frame(message))
    signal.pause()


def lie():
    """Say that this process becomes a command."""
    os.write(stream(), _frame({"executes": True}))


def exit_at_the_look(code, lying):
    """Let this process exit when it looks whether it can take another job."""
    if lying:
        lie()
    setattr(os, "getcwd", lambda: os._exit(code))  # noqa: B010 - its type says that it returns a text


def hang_at_exit():
    setattr(os, "_exit", lambda _code: time.sleep(600))  # noqa: B010 - its type says that it does not return


def _frame(outcome):
    body = marshal.dumps(outcome)
    return len(body).to_bytes(4, "little") + b"\0" + body


def run(code):
    exec(code)  # noqa: S102


def pipe_state():
    getters = (fcntl.F_GETFL, fcntl.F_GETPIPE_SZ, fcntl.F_GETOWN, fcntl.F_GETSIG)
    return [(os.fstat(fd).st_mode, *(fcntl.fcntl(fd, getter) for getter in getters)) for fd in (1, 2)]


def pipe_inodes():
    return [os.fstat(fd).st_ino for fd in (1, 2)]
