"""Webhooks on the worker's side: takes those that are due, has them sent by a process of its own, and reports how it went.

What is promised is at least one delivery while workers live: a delivery is taken for a time, and a worker that does not report it in
time (it was killed, it lost the server) leaves it to another. A receiver may see one twice, with the same `X-Flowq-Delivery`.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from flowq import __version__
from flowq.exceptions import FlowqError, ServerError
from flowq.store.webhooks import Delivery
from flowq.webhook import Webhook
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.platform import PACKAGE, PRIVATE
from flowq.worker.webhooks import sender
from flowq.worker.webhooks.notices import request_of_notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.store import Store
    from flowq.store.webhooks import Taken
    from flowq.worker.supervisor.event_loop import Loop

_log = logging.getLogger("flowq.worker")
_AT_ONCE: Final = 16
_WAITS: Final = (5.0, 30.0, 120.0, 600.0, 1800.0)  # s before another try
_SLACK: Final = 2.0  # s after which a try that is due has begun
_PATIENCE: Final = 5.0  # s above its timeout after which a request is given up; an answer may trickle
_ROOT: Final = os.path.dirname(PACKAGE)
_BOOT: Final = "import sys; sys.path.insert(0, sys.argv[2]); from flowq.worker.webhooks import sender; sender.main()"


class Deliveries:
    """The webhooks of one worker. Its calls of the store may raise `ServerError`; call again when the server is back.

    Args:
        store: where they come from.
        loop: calls back when the sending process answers.
        started: told the pid of that process, which is a child that must not be taken for an orphan.
    """

    def __init__(self, store: Store, loop: Loop, started: Callable[[int], None] = lambda _pid: None) -> None:
        self.wanted = False  # some are due
        self._last = False  # the worker stops: nothing more is taken
        self._stay_until = 0.0  # monotonic
        self._store = store
        self._loop = loop
        self._started = started
        self._channel: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = 0
        self._open: dict[int, tuple[Taken, float]] = {}  # with the monotonic time at which it is given up
        self._results: list[tuple[Taken, str, str]] = []

    @property
    def pending(self) -> bool:
        """Whether some are under way or not reported yet, or are about to be taken."""
        return bool(self._open or self._results) or (self.wanted and not self._last)

    @property
    def soon(self) -> bool:
        """Whether the next try of one is a few seconds away at most: the worker of a run that has ended stays for it."""
        return self.pending or time.monotonic() < self._stay_until

    def tick(self, *, running: bool) -> None:
        """Report answered deliveries, and take due ones; a worker that is no longer `running` takes once."""
        now = time.monotonic()
        for number, (delivery, deadline) in tuple(self._open.items()):
            if now > deadline:
                del self._open[number]
                self._results.append((delivery, sender.AGAIN, f"no whole answer within {delivery.timeout:g} s"))
        while self._results:
            delivery, verdict, text = self._results[-1]
            report(self._store, delivery, verdict, text)
            if verdict == sender.AGAIN and delivery.tries == 1:
                self._stay_until = time.monotonic() + _WAITS[0] + _SLACK
            self._results.pop()
        if self.wanted and not self._last and len(self._open) < _AT_ONCE:
            room = _AT_ONCE - len(self._open)
            taken = self._store.webhooks.take(room)
            self.wanted = len(taken) == room
            self._last = not running
            for delivery in taken:
                self._hand_over(delivery)

    def settle(self, give_up: Callable[[], bool]) -> None:
        """Send the due deliveries and wait for them, unless there is reason to give up."""
        self.wanted = True
        while self.pending and not give_up():
            self.tick(running=False)
            self._loop.turn(0.05)

    def give_back(self) -> None:
        """Leave unanswered deliveries to other workers."""
        unsent, self._open = [delivery for delivery, _ in self._open.values()], {}
        for delivery in unsent:
            self._store.webhooks.back(delivery)

    def close(self) -> None:
        """End the sending process."""
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    # -- the sending process ------------------------------------------------------------------------------------------------

    def _hand_over(self, delivery: Taken) -> None:
        try:
            request = request_for(self._store, delivery)
        except ServerError:
            raise
        except FlowqError as error:  # it is not signed, or the address of a notice is not available here, for one
            self._results.append((delivery, sender.AGAIN, str(error)))
            return
        self._numbers += 1
        self._open[self._numbers] = delivery, time.monotonic() + delivery.timeout + _PATIENCE
        try:
            channel = self._channel or self._start()
            channel.send((self._numbers, request))
        except (OSError, PeerGoneError):
            self._lost("no process could be started for it")
            return
        if channel.sending:
            self._loop.wants_write(channel.fileno(), True)

    def _start(self) -> Channel:
        ours, theirs = Channel.pair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), _ROOT],
                pass_fds=(theirs.fileno(),),
                env={name: value for name, value in os.environ.items() if name not in PRIVATE},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C in the terminal is for the worker
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._started(self._process.pid)
        self._channel = ours
        self._loop.watch(ours.fileno(), self._readable, self._writable)
        return ours

    def _readable(self) -> None:
        assert self._channel is not None
        try:
            answers = self._channel.receive()
        except (PeerGoneError, ProtocolError):
            self._lost("the process that sends webhooks has died")
            return
        for (number, verdict, text), _ in answers:
            delivery, _ = self._open.pop(number, (None, 0.0))
            if delivery is not None:
                self._results.append((delivery, verdict, text))

    def _writable(self) -> None:
        assert self._channel is not None
        try:
            if self._channel.flush():
                self._loop.wants_write(self._channel.fileno(), False)
        except PeerGoneError:
            self._loop.wants_write(self._channel.fileno(), False)

    def _lost(self, why: str) -> None:
        lost, self._open = [delivery for delivery, _ in self._open.values()], {}
        self._results += [(delivery, sender.AGAIN, why) for delivery in lost]
        self.close()


def request_for(store: Store, delivery: Taken) -> dict[str, Any]:
    """Return the request of a delivery, as `sender.send` takes it.

    Raises:
        FlowqError: it is not signed, or of a message: there can be none.
    """
    return request_of(delivery) if isinstance(delivery, Delivery) else request_of_notice(store, delivery)


def request_of(delivery: Delivery) -> dict[str, Any]:
    """Return the HTTP request of a delivery, as `sender.send` takes it.

    Raises:
        SignatureError: the webhook is not signed, and there is a secret key.
    """
    webhook = Webhook.verified(delivery.spec)
    headers = {
        "User-Agent": f"flowq/{__version__}",
        "X-Flowq-Delivery": quote(delivery.id, safe="|:@"),
        "X-Flowq-Try": str(delivery.tries),
        **(webhook.headers or {}),
    }
    body = None
    if webhook.method == "POST":
        times = (_iso(delivery.enqueued_ms), _iso(delivery.ended_ms))
        document = webhook.document(delivery.job, delivery.func, times, delivery.error)
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json", **headers}
    return {"url": webhook.url, "method": webhook.method, "headers": headers, "body": body, "timeout": delivery.timeout}


def report(store: Store, delivery: Taken, verdict: str, text: str) -> None:
    """Report the outcome of a delivery to the store."""
    if verdict == sender.DONE:
        store.webhooks.over(delivery)
        return
    what, about = _what(delivery), _about(delivery)
    if verdict == sender.AGAIN and delivery.tries <= len(_WAITS):
        wait = _WAITS[delivery.tries - 1]
        # The first failure is news. The others of a receiver that is away for long would be lines in every `flowq run` until then.
        _log.log(
            logging.WARNING if delivery.tries == 1 else logging.INFO,
            "%s: %s; tried again in %g s",
            what,
            text,
            wait,
            extra=about,
        )
        store.webhooks.again(delivery, wait)
        return
    _log.error("%s: %s; given up after try %d", what, text, delivery.tries, extra=about)
    store.webhooks.over(delivery)


def _what(delivery: Taken) -> str:
    spec = json.loads(delivery.spec)
    if isinstance(delivery, Delivery):
        return f"job {delivery.job}: webhook to {spec['url'].partition('?')[0]}"
    address = f"${spec['to']['env']}" if "env" in spec["to"] else spec["to"]["file"]
    return f"{f'run {delivery.run}' if delivery.run else delivery.flow}: message ({delivery.event}) to {address}"


def _about(delivery: Taken) -> dict[str, str]:
    """Return what records of the log are about."""
    if isinstance(delivery, Delivery):
        return {"job": delivery.job}
    return {"run": delivery.run, "flow": delivery.flow, "job": delivery.job}


def deliver_here(store: Store, job: str) -> None:
    """Deliver the webhooks of one job in this thread, each once; what does not go well is left to workers."""
    for delivery in store.webhooks.take(_AT_ONCE, job=job):
        try:
            verdict, text = sender.send(request_for(store, delivery))
        except ServerError:
            raise
        except FlowqError as error:  # as above
            verdict, text = sender.AGAIN, str(error)
        report(store, delivery, verdict, text)


def _iso(millis: int | None) -> str | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC).isoformat()
