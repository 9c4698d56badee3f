"""Jobs that fork. Imported by horses, never by pytest."""

import multiprocessing
import os
import subprocess
import sys
import time


def end(way):
    """End a forked child in one of several ways, or return from the function."""
    if way == "exit":
        sys.exit(0)
    if way == "exit 3":
        sys.exit(3)
    if way == "exit text":
        sys.exit("the child says why")
    if way == "raise":
        raise ValueError("the child's")
    if way == "interrupt":
        raise KeyboardInterrupt


def exit_code_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fork(way):
    """Return the exit code of a child that ends in some way."""
    pid = os.fork()
    if pid == 0:
        end(way)
        return "the child"
    return exit_code_of(pid)


async def fork_in_a_coroutine(way):
    return fork(way)


def fork_what_cannot_be_a_result():
    """Fork a child whose value is not a valid result, and is not the job's."""
    pid = os.fork()
    return object() if pid == 0 else exit_code_of(pid)


def fork_printing():
    """Fork a child whose output belongs to the job, but whose end does not."""
    sys.stdout.write("before\n")
    pid = os.fork()
    if pid == 0:
        sys.stdout.write("the child, without a newline")
        sys.exit()
    code = exit_code_of(pid)
    sys.stdout.write("\nafter\n")
    return code


def use_a_pool():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(abs, [-1, -2, -3])


def use_a_process_that_exits(code):
    child = multiprocessing.get_context("fork").Process(target=sys.exit, args=(code,))
    child.start()
    child.join()
    return child.exitcode


def leave_a_holder(seconds, pids):
    """End while a command and a fork hold every descriptor of this process."""
    command = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"], close_fds=False)
    fork = os.fork()
    if fork == 0:
        os.setsid()
        time.sleep(seconds)
        return "the child"
    with open(pids, "w") as file:
        file.write(f"{command.pid} {fork}")
    return "the parent"
