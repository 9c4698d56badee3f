"""The address of a run's page: of a page that is there, else of one that is started for it and ends when it is not used."""

import json
import os
import select
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from flowq.config import environment_of
from flowq.exceptions import FlowqError
from flowq.flows.actions.approval import user
from flowq.flows.local_worker.process import LeftBehind

if TYPE_CHECKING:
    from flowq.config import Setting
    from flowq.store import Store

_IDLE: Final = "15m"  # that a page which was started for a run stays without a request
_START: Final = 20.0  # s for its start
_LOCAL: Final = ("http://127.0.0.1:", "http://localhost:", "http://[::1]:")


class PageStartError(FlowqError):
    """A page could not be started."""


def link_of_run(store: "Store", run: str, url: "Setting | None") -> str:
    """Return the address of a run's page, with a token that signs a browser in.

    Args:
        store: where the run is.
        run: its id.
        url: the server, as the command got it; None: as configured.

    Raises:
        UsageError: the packages that the page needs are not installed.
        PageStartError: it does not start.
    """
    from flowq.cli.options.page import require_server

    require_server()
    from flowq.serve.http.access.secrets import link

    for text in store.accesses.pages().values():
        page = json.loads(text)
        if page["hostname"] == socket.gethostname() and page["url"].startswith(_LOCAL) and _lives(page["pid"]):
            token = f"#token={link(store, user())}" if page["auth"] else ""
            return f"{page['url']}/runs/{run}{token}"
    return _started(run, url)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return True


def _started(run: str, url: "Setting | None") -> str:
    """Start a page in the background; return its address."""
    reading, writing = os.pipe()
    command = [
        sys.executable,
        "-P",
        "-m",
        "flowq",
        "ui",
        "--run",
        run,
        "--idle",
        _IDLE,
        f"--report={writing}",
        "--log-level=error",
    ]
    environment = os.environ if url is None else {**os.environ, **environment_of(url)}
    try:
        LeftBehind(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], _START)
        line = os.read(reading, 65536) if ready else b""
    finally:
        os.close(reading)
    if not line:
        raise PageStartError("the page did not start: `flowq ui` says why")
    return str(json.loads(line)["page"])
