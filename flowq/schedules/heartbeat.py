"""The heartbeat of schedulers: a request to an address outside, which raises an alarm when it stays away.

A scheduler that has died can tell nothing, so it tells that it lives.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from flowq.worker.secrets.resolve import SecretError, resolve
from flowq.worker.webhooks import sender

PAUSE: Final = 60.0  # s between beats at least

_TIMEOUT: Final = 10.0  # s of a request

_log: Final = logging.getLogger("flowq.schedules")


class Heart:
    """Beats at most once a minute; a slow or missing receiver holds up nothing.

    Args:
        reference: "$NAME" of a variable, or the path of a file, with the address.
    """

    def __init__(self, reference: str) -> None:
        self._shown = reference
        self._reference: Mapping[str, str] = {"env": reference[1:]} if reference.startswith("$") else {"file": reference}
        self._next = 0.0  # monotonic
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def beat(self) -> None:
        """Send a request, unless one was sent within the last minute or is still under way."""
        if time.monotonic() < self._next or (self._thread is not None and self._thread.is_alive()):
            return
        self._next = time.monotonic() + PAUSE
        self._thread = threading.Thread(target=self._send, name="heartbeat", daemon=True)
        self._thread.start()

    def _send(self) -> None:
        try:
            url = resolve({"heartbeat": self._reference})["heartbeat"].strip()
        except SecretError as error:
            self._tell(str(error))
            return
        if not url.startswith(("http://", "https://")):
            self._tell("its address must begin with https://")
            return
        request: dict[str, Any] = {
            "url": url,
            "method": "GET",
            "headers": {},
            "body": None,
            "timeout": _TIMEOUT,
            "shown": self._shown,
        }
        verdict, text = sender.send(request)
        self._tell("" if verdict == sender.DONE else text)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:  # once, not every minute
            _log.warning("heartbeat to %s: %s", self._shown, trouble)
        self._trouble = trouble
