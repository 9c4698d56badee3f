"""The context that all commands share: the server's address, the store (opened on first use) and the terminals."""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from flowq.cli.terminal import Terminal, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flowq.config import Setting
    from flowq.store import Store

_Command = TypeVar("_Command", bound="Callable[..., Any]")

_SILENT: Final = 3.0  # s that a command may wait for the server without a word; on a busy machine a healthy one takes a second or two to start


@dataclass(slots=True)
class CliContext:
    """One invocation of `flowq`. `begin` is called with the command's name before the command starts.

    `zone` is the time zone of the times that are shown. `client_class` is the dotted name of the class of redis-py clients that the store has.
    """

    url: "Setting | None" = None  # as the command got it
    zone: str = "UTC"
    client_class: str | None = None
    begin: "Callable[[str], None] | None" = None
    _store: "Store | None" = field(default=None, repr=False)
    _opened: "Store | None" = field(default=None, repr=False)  # whose connections the client of another class uses

    @property
    def given_url(self) -> str | None:
        """The server that the command was given (`-u`), None without one."""
        return None if self.url is None else self.url.value

    @property
    def out(self) -> Terminal:
        """The capabilities of standard output, read now because a terminal may be resized."""
        return replace(Terminal.of(sys.stdout), zone=self.zone)

    @property
    def err(self) -> Terminal:
        """The capabilities of standard error."""
        return Terminal.of(sys.stderr)

    def store(self) -> "Store":
        """Open the store on first use: the configured server, or the embedded one, which is started if needed."""
        if self._store is None:
            from flowq.connections.clients import open_store

            with self._patience():
                self._opened = self._store = open_store(self.url)
            if self.client_class is not None:
                from flowq.connections.stores import with_client_class

                self._store = with_client_class(self._opened, self.client_class)
        return self._store

    @contextmanager
    def _patience(self) -> "Iterator[None]":
        """Say what a command waits for if the server takes long: one that hangs or loads its data is waited for, in silence otherwise."""
        import threading

        timer = threading.Timer(_SILENT, self._tell_waiting)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _tell_waiting(self) -> None:
        from flowq.config import load_settings, redact

        url = load_settings(self.url).url
        name = "the embedded server" if url is None else f"the server at {redact(url.value)}"
        complain(f"waiting for {name}, which has not answered yet; Ctrl+C ends the wait")

    def take_refusal(self) -> str:
        """Return once why the server refuses changes, where the command could read all the same; else ""."""
        refusal = ""
        if self._opened is not None:
            refusal, self._opened.session.refusal = self._opened.session.refusal, ""
        return refusal

    def has_history(self) -> bool:
        """Return whether earlier runs may exist: a server is configured, or the embedded one has data."""
        from flowq.config import load_settings

        settings = load_settings(self.url)
        if settings.url is not None:
            return True
        from flowq.embedded.directory import locate

        return os.path.isdir(locate(settings.home.value if settings.home else None).data)  # noqa: PTH112 - pathlib may not be imported yet


def url_option(command: _Command) -> _Command:
    """Add `-u/--url`, which is accepted before and after the name of the command."""

    def remember(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            from flowq.config import Setting

            ctx.ensure_object(CliContext).url = Setting(value, "-u") if value else None

    option = click.option(
        "-u",
        "--url",
        metavar="URL",
        expose_value=False,
        callback=remember,
        help="Server to use, redis://… or unix://…  [default: FLOWQ_REDIS_URL, flowq.toml, else the embedded server]",
    )
    return option(command)


def zone_option(command: _Command) -> _Command:
    """Add `--tz`."""

    def remember(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            from flowq.exceptions import UsageError
            from flowq.slots.timezones import named

            try:
                named(value)
            except UsageError as error:
                expected = "expected local, UTC or a name such as Europe/Berlin"
                raise click.BadParameter(f"there is no time zone {value!r} here, {expected}") from error
            ctx.ensure_object(CliContext).zone = value

    option = click.option(
        "--tz",
        metavar="ZONE",
        expose_value=False,
        callback=remember,
        help="Time zone of the times that are shown: local, Europe/Berlin.  [default: UTC]",
    )
    return option(command)


pass_context = click.make_pass_decorator(CliContext, ensure=True)


def tell_damaged(damaged: "Mapping[str, str]") -> None:
    """Say which runs of a list could not be read, and why. `damaged`: by the id of the run."""
    for run, why in damaged.items():
        complain(f"warning: {why}; `flowq cancel {run}` ends it, `flowq delete {run}` removes it")


def tell_full(store: "Store") -> None:
    """Say that the server refuses new data, if it does: what is shown is older than what has happened."""
    if store.is_full():
        from flowq.flows.explain.queue_state import FULL

        complain(f"warning: {FULL}")


def complain(text: str) -> None:
    """Write a message to standard error, made safe for terminals."""
    from flowq.flows.views.text import safe

    echo(safe(text), err=True)
