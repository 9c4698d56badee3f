"""Jobs that do what they can to keep their slot, or to leave something behind. Each takes a directory for its notes."""

import ctypes
import os
import resource
import select
import signal
import socket
import sys
import threading
from pathlib import Path

_HELD = []


def note(directory):
    """Write the number of this process down, so that a test can look for it."""
    (Path(directory) / f"pid-{os.getpid()}").touch()


def wait_without_end(_directory=None):
    while True:
        select.select((), (), (), 60)


def deaf():
    """Ignore what can be ignored, and block it too."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def ignores_signals(directory):
    note(directory)
    deaf()
    wait_without_end()


def blocks_in_c(directory):
    """Hold the interpreter's lock in a call that ends no earlier than the machine."""
    note(directory)
    max(range(1 << 60))


def stops_itself(directory):
    note(directory)
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_without_end()


def becomes_another_program(directory):
    note(directory)
    os.execv(sys.executable, [sys.executable, "-Sc", "import signal; signal.pause()"])


def fork_away(directory, rest):
    """Fork twice, with a session of its own, and go on with `rest` there."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork() == 0:
            note(directory)
            (Path(directory) / f"away-{os.getpid()}").touch()
            deaf()
            rest(directory)
        os._exit(0)
    os.waitpid(pid, 0)


def leaves_daemons(directory):
    for _ in range(5):
        fork_away(directory, wait_without_end)
    while len(list(Path(directory).glob("away-*"))) < 5:
        select.select((), (), (), 0.002)


def hop(directory):
    """Fork and exit, without end: a process that has another number each time one looks."""
    while True:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            continue


def leaves_one_that_hops(directory):
    fork_away(directory, hop)
    while not list(Path(directory).glob("away-*")):
        select.select((), (), (), 0.002)


def leaves_a_daemon_that_floods(directory):
    fork_away(directory, floods)
    while not list(Path(directory).glob("away-*")):
        select.select((), (), (), 0.002)


def leaves_a_thread(directory):
    note(directory)
    threading.Thread(target=wait_without_end).start()


def hangs_at_its_exit(directory):
    import atexit

    note(directory)
    atexit.register(wait_without_end)


def floods(directory):
    note(directory)
    while True:
        for number in (1, 2):
            os.write(number, b"flood\n" * 1000)


def closes_its_output(directory):
    note(directory)
    os.close(1)
    os.close(2)


def closes_everything(directory):
    note(directory)
    os.closerange(0, 256)


def writes_to_every_descriptor(directory):
    """Send to each socket and pipe what might be taken for a message."""
    note(directory)
    whole = b"\x02\x00\x00\x00\x00i\x05"  # a frame with a broken number
    number = b"\x05\x00\x00\x00\x00i\x05\x00\x00\x00"  # a frame with a number that is whole
    for fd in range(3, 1024):
        for data in (number, whole, b"\xff" * 64):
            try:
                os.set_blocking(fd, False)
                os.write(fd, data)
            except OSError:
                break


def sends(directory, *messages):
    """Send frames of these values to the supervisor, each with a descriptor."""
    import marshal

    note(directory)
    for fd in range(3, 1024):
        try:
            stream = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if stream.family == socket.AF_UNIX:
            for message in messages:
                body = marshal.dumps(message)
                frame = len(body).to_bytes(4, "little") + b"\1" + body
                socket.send_fds(stream, [frame], [0])
        stream.detach()


def sends_what_is_no_outcome(directory):
    sends(directory, 5, None, "phase", {}, {"outcome": "finished"}, {"outcome": [], "phase": "x"}, {"phase": {}, "so_far": 1})


def exhausts_memory(directory):
    note(directory)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (1 << 26)
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    while True:
        _HELD.append(bytearray(1 << 20))


def exhausts_descriptors(directory):
    note(directory)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    while True:
        _HELD.append(os.dup(0))


def lowers_its_limits(directory):
    note(directory)
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(3)


def kills_its_parent(directory):
    note(directory)
    os.kill(os.getppid(), signal.SIGKILL)
    wait_without_end()


def kills_its_group(directory):
    note(directory)
    os.killpg(0, signal.SIGKILL)


def crashes(directory):
    note(directory)
    ctypes.string_at(0)
