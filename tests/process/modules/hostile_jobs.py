"""Jobs that do what they can to keep their slot, or to leave something behind. Each takes a directory for its notes."""

import ctypes
import os
import resource
import select
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

_HELD = []
LIBC = ctypes.CDLL(None)


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


def wait_for(directory, pattern, number=1):
    while len(list(Path(directory).glob(pattern))) < number:
        select.select((), (), (), 0.002)


def hide(directory):
    """Close everything, and become a program without any variable."""
    (Path(directory) / f"hidden-{os.getpid()}").touch()
    os.closerange(0, 1024)
    os.execve("/bin/sleep", ["sleep", "600"], {})


def leaves_one_that_hides(directory):
    fork_away(directory, hide)
    wait_for(directory, "hidden-*")


def stop(_directory):
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_without_end()


def leaves_a_stopped_one(directory):
    fork_away(directory, stop)
    wait_for(directory, "away-*")


def adopt(directory):
    """Become the parent of what is left below, and leave some there."""
    LIBC.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    for _ in range(3):
        if os.fork() == 0:
            if os.fork() == 0:
                note(directory)
                wait_without_end()
            os._exit(0)
    (Path(directory) / "adopted").touch()
    wait_without_end()


def leaves_one_that_adopts(directory):
    fork_away(directory, adopt)
    wait_for(directory, "adopted")


def begin_a_namespace(directory):
    LIBC.unshare(0x10000000 | 0x20000000)  # of users and of process ids, where that is allowed
    if os.fork() == 0:
        (Path(directory) / "namespace").touch()
        deaf()
    wait_without_end()


def leaves_a_namespace(directory):
    fork_away(directory, begin_a_namespace)
    wait_for(directory, "namespace")


def removes_its_directory(directory):
    note(directory)
    place = tempfile.mkdtemp()
    os.chdir(place)
    os.rmdir(place)


def ancestor(level):
    """Return the process so many levels above this one."""
    pid = os.getpid()
    for _ in range(level):
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return pid


def trace(pid):
    """Stop a process as a debugger does, where that is allowed: no signal but SIGKILL wakes it."""
    LIBC.ptrace(16, pid, 0, 0)  # PTRACE_ATTACH


def hold(pid):
    """Trace a process so that not even SIGKILL ends it before its tracer has gone."""
    LIBC.ptrace(0x4206, pid, 0, 0x40)  # PTRACE_SEIZE, PTRACE_O_TRACEEXIT


def leave_one_on(directory, attack, pid):
    """Leave a daemon that traces a process."""

    def rest(directory):
        attack(pid)
        (Path(directory) / f"traced-{pid}").touch()
        wait_without_end()

    fork_away(directory, rest)
    wait_for(directory, f"traced-{pid}")


def is_traced_by_what_it_left(directory):
    note(directory)
    leave_one_on(directory, trace, os.getpid())
    wait_without_end()


def is_held_by_what_it_left(directory):
    note(directory)
    leave_one_on(directory, hold, os.getpid())
    wait_without_end()


def kills_above(directory, level=1):
    note(directory)
    os.kill(ancestor(level), signal.SIGKILL)
    wait_without_end()


def stops_above(directory, level=1):
    note(directory)
    victim = ancestor(level)  # once: who is above it then, when that one has ended, is the supervisor
    deaf()
    while True:
        os.kill(victim, signal.SIGSTOP)


def stops_above_and_ends(directory, level=1):
    note(directory)
    os.kill(ancestor(level), signal.SIGSTOP)


def traces_above(directory, level=1):
    note(directory)
    trace(ancestor(level))
    deaf()
    wait_without_end()


def holds_above(directory, level=1):
    note(directory)
    leave_one_on(directory, hold, ancestor(level))
    wait_without_end()


def leaves_one_that_traces_above(directory, level=1):
    leave_one_on(directory, trace, ancestor(level))


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


def kills_its_group(directory):
    note(directory)
    os.killpg(0, signal.SIGKILL)


def crashes(directory):
    note(directory)
    ctypes.string_at(0)
