"""The process that delivers webhooks for a worker: requests come over a channel, each is sent from a thread, outcomes go back.

It exists so that no endpoint, however slow, holds up the loop that beats for jobs, and ends with its worker: their channel closes.
"""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.request import OpenerDirector, Request

DONE: Final = "done"
AGAIN: Final = "again"  # a later try may succeed
HOPELESS: Final = "hopeless"  # the receiver does not want it
_LATER: Final = frozenset({408, 425, 429})  # answers below 500 after which a later try may succeed


def send(request: Mapping[str, Any]) -> tuple[str, str]:
    """Make one HTTP request (`url`, `method`, `headers`, `body`, `timeout` in seconds); return the outcome and a description.

    Redirects are followed and proxies of the environment used, as urllib does; see `_opener`.
    """
    from urllib.error import HTTPError
    from urllib.request import Request

    if "apprise" in request:
        return _send_text(request)
    try:
        prepared = Request(request["url"], data=request["body"], headers=request["headers"], method=request["method"])  # noqa: S310 - http and https only, `Webhook` sees to it
        with _opener().open(prepared, timeout=request["timeout"]) as response:
            return DONE, str(response.status)
    except HTTPError as error:
        error.close()
        later = error.code >= 500 or error.code in _LATER
        return (AGAIN if later else HOPELESS), f"the answer was {error.code} {error.reason}"
    except ValueError as error:  # something in it cannot be written as HTTP
        return HOPELESS, _masked(str(error), request)
    except Exception as error:  # noqa: BLE001 - names that do not resolve, refusals, time-outs, TLS, answers that are no HTTP
        return AGAIN, _masked(f"{type(error).__name__}: {error}", request)


def _opener() -> OpenerDirector:
    """Return what makes requests. A redirect leads to http or https only, and another server does not get the headers that are for the first."""
    from urllib.parse import urlsplit
    from urllib.request import HTTPRedirectHandler, build_opener

    def origin(url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        return parts.scheme, parts.netloc.lower()

    class Redirects(HTTPRedirectHandler):
        def redirect_request(  # noqa: PLR0917 - it is urllib's
            self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
        ) -> Request | None:
            made = super().redirect_request(req, fp, code, msg, headers, newurl)
            if made is None or made.type not in {"http", "https"}:
                return None  # its answer is that of the redirect
            if origin(newurl) != origin(req.full_url):
                kept = {
                    name: text for name, text in made.headers.items() if name.lower().startswith(("user-agent", "x-flowq-"))
                }
                made.headers = kept
            return made

    return build_opener(Redirects)


def _masked(text: str, request: Mapping[str, Any]) -> str:
    """Return a text without the address of a message, which is known by reference only."""
    return text.replace(request["url"], request["shown"]) if "shown" in request else text


def _send_text(request: Mapping[str, Any]) -> tuple[str, str]:
    """Send a text to an address of another kind, through the package apprise."""
    try:
        import apprise
    except ImportError:
        return (
            HOPELESS,
            "addresses that do not begin with https:// need the package apprise: pip install 'flowq-workflows[notify]'",
        )
    try:
        target = apprise.Apprise()
        if not target.add(request["apprise"]):
            return HOPELESS, "the package apprise does not know this kind of address"
        sent = target.notify(title=request["title"], body=request["body"])
    except Exception as error:  # noqa: BLE001 - plugins raise what they like; their texts may name the address
        return AGAIN, f"apprise failed: {type(error).__name__}"
    return (DONE, "sent") if sent else (AGAIN, "apprise could not send it")


def main() -> None:
    """Serve until the worker is gone. `sys.argv[1]` is the channel's descriptor."""
    channel = Channel.adopt(int(sys.argv[1]))
    lock = threading.Lock()
    try:
        while True:
            (number, request), _ = channel.wait()
            threading.Thread(target=_deliver, args=(channel, lock, number, request), daemon=True).start()
    except (PeerGoneError, ProtocolError):
        os._exit(0)  # threads that wait for an answer do not matter any more


def _deliver(channel: Channel, lock: threading.Lock, number: int, request: Mapping[str, Any]) -> None:
    verdict, text = send(request)
    try:
        with lock:
            channel.send((number, verdict, text))
            channel.drain()
    except PeerGoneError:
        os._exit(0)
