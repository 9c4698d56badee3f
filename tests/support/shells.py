"""`flowq` for shells: a program that asks a launcher for a fork, in place of one that imports flowq for each of a page's commands."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.launcher import BEFORE_IMPORTS, PID, Launcher

_PROGRAM: Final = """#!{python} -IS
import _socket, marshal, os, signal, sys  # none that takes time to import

if {{name: value for name, value in os.environ.items() if name.startswith({names!r})}} != {before!r}:
    os.execv({installed!r}, ["flowq", *sys.argv[1:]])
request = os.memfd_create("request")
with os.fdopen(request, "wb", closefd=False) as file:
    marshal.dump(
        {{
            "module": "flowq.cli.main",
            "arguments": sys.argv[1:],
            "environment": dict(os.environ),
            "directory": os.getcwd(),
            "session": False,
            "terminal": False,
            "safe_path": True,
        }},
        file,
    )
os.lseek(request, 0, os.SEEK_SET)
launcher = _socket.socket(_socket.AF_UNIX)
launcher.connect({listens!r})
fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (request, 0, 1, 2))
launcher.sendmsg([b"!"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
pid = int(launcher.recv({pid}))
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: os.kill(pid, number))
code = int(launcher.recv(16) or b"-9")
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextmanager
def flowq_on_path(environment: Mapping[str, str], installed: Path | None = None) -> Iterator[dict[str, str]]:
    """Return the variables for shells in which `flowq` is a fork of one process that has imported it, until the end.

    A command with other variables that Python or the locale look at is started as usual.

    Args:
        environment: the variables.
        installed: the folder of the `flowq` and the `python` that are meant; by default those of the tests.
    """
    bin_dir = installed or Path(sys.executable).parent
    environment = {**environment, "PATH": f"{bin_dir}:{environment['PATH']}"}
    if sys.platform != "linux":
        yield environment
        return
    with tempfile.TemporaryDirectory(prefix="fq-", dir="/tmp") as folder:
        program, listens = Path(folder, "flowq"), f"{folder}/socket"
        before = {name: value for name, value in environment.items() if name.startswith(BEFORE_IMPORTS)}
        text = _PROGRAM.format(
            python=bin_dir / "python",
            names=BEFORE_IMPORTS,
            before=before,
            installed=str(bin_dir / "flowq"),
            listens=listens,
            pid=PID,
        )
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
        launcher = Launcher(str(bin_dir / "python"), environment, listens)
        try:
            yield {**environment, "PATH": f"{folder}:{environment['PATH']}"}
        finally:
            launcher.close()
