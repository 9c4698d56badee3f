"""Options of the page, of `flowq ui` and `flowq serve`."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from flowq.exceptions import UsageError


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How the page is reached."""

    host: str
    port: int | None
    public_url: str
    trusted: str
    readonly: bool
    no_auth: bool
    metrics: str

    def arguments(self) -> tuple[str, ...]:
        """Return them as arguments of `flowq ui`."""
        given = [f"--host={self.host}"]
        given += [] if self.port is None else [f"--port={self.port}"]
        given += [f"--public-url={self.public_url}"] if self.public_url else []
        given += [f"--trust-proxy={self.trusted}"] if self.trusted else []
        given += ["--read-only"] if self.readonly else []
        given += ["--no-auth"] if self.no_auth else []
        given += [f"--metrics-open={self.metrics}"] if self.metrics else []
        return tuple(given)


def page_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the page; the command gets them as `page`."""

    @wraps(command)
    def with_page(*arguments: Any, **given: Any) -> Any:
        names = ("host", "port", "public_url", "trusted", "readonly", "no_auth", "metrics")
        return command(*arguments, page=PageOptions(**{name: given.pop(name) for name in names}), **given)

    options = (
        click.option(
            "--host", default="127.0.0.1", show_default=True, metavar="HOST", help="Address that the page listens on."
        ),
        click.option(
            "--port", type=click.IntRange(0, 65535), metavar="PORT", help="Its port.  [default: 8470, or the next that is free]"
        ),
        click.option(
            "--public-url", default="", metavar="URL", help="Address under which browsers reach the page through a proxy."
        ),
        click.option("--trust-proxy", "trusted", default="", metavar="ADDRESS", help="Believe this proxy's X-Forwarded-For."),
        click.option("--read-only", "readonly", is_flag=True, help="The page shows everything and changes nothing."),
        click.option("--no-auth", is_flag=True, help="Ask for no token; only on an address of this machine."),
        click.option(
            "--metrics-open",
            "metrics",
            default="",
            metavar="[HOST:]PORT",
            help="Show the metrics to everyone who reaches this port.",
        ),
    )
    for option in reversed(options):
        with_page = option(with_page)
    return with_page


def has_server() -> bool:
    """Return whether the packages that the page needs are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("starlette", "uvicorn"))


def require_server() -> None:
    """Check that the packages that the page needs are installed.

    Raises:
        UsageError: they are not.
    """
    if not has_server():
        raise UsageError("the page needs two more packages: pip install 'flowq-workflows[serve]'")
