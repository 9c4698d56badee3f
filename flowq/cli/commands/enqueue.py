"""`flowq enqueue`."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from flowq import defaults
from flowq.cli.session import Session, pass_session, url_option
from flowq.durations import parse_duration
from flowq.exceptions import UsageError


@click.command(epilog="Example: flowq enqueue myapp.jobs.report 42 day=2026-01-31 'parts:=[1, 2]'")
@click.argument("function")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]...")
@click.option("-q", "--queue", "name", default=defaults.QUEUE, show_default=True, metavar="QUEUE", help="Queue to put it on.")
@click.option("--timeout", metavar="TIME", help="How long one execution may take.")
@click.option("--result-ttl", metavar="TIME", help="How long a success and its result are kept.")
@click.option("--ttl", metavar="TIME", help="How long it may wait before it is given up.")
@click.option("--failure-ttl", metavar="TIME", help="How long a failure is kept.")
@click.option("--description", metavar="TEXT", help="What is shown for it.")
@click.option("--depends-on", multiple=True, metavar="JOB", help="Id of a job that must succeed before; may be repeated.")
@click.option("--job-id", metavar="ID", help="Its id.")
@click.option("--at-front", is_flag=True, help="Put it before the jobs that wait already.")
@click.option("--retry-max", type=click.IntRange(1), metavar="N", help="Execute it again up to N times when it fails.")
@click.option("--retry-interval", multiple=True, type=float, metavar="SECONDS", help="Wait between retries; may be repeated.")
@click.option("--schedule-in", metavar="TIME", help="Enqueue it after this: 10s, 5m, 2d.")
@click.option(
    "--schedule-at", metavar="WHEN", help="Enqueue it at this time: 2026-01-31T21:45:00, local unless it says a zone."
)
@url_option
@pass_session
def command(session: Session, /, function: str, arguments: tuple[str, ...], name: str, **options: Any) -> None:
    """Put a call of a Python function on a queue.

    Prints the id of the job. FUNCTION is its dotted name. An ARGUMENT is text, or `:VALUE` for JSON, `%VALUE` for a Python literal, `@FILE` for the text of a file;
    with `NAME=` before it (`NAME:=VALUE` for JSON, `NAME%=VALUE` for a literal) it is a keyword argument.
    """
    from flowq.queue import Queue
    from flowq.retry import Retry

    args, kwargs = _arguments(arguments)
    waits = options.pop("retry_interval")
    retries, at, after = options.pop("retry_max"), options.pop("schedule_at"), options.pop("schedule_in")
    if at is not None and after is not None:
        raise click.UsageError("give --schedule-in or --schedule-at, not both")
    settings = {option: value for option, value in options.items() if value not in {None, ()}}
    settings["job_timeout"] = settings.pop("timeout", None)
    if "depends_on" in settings:
        settings["depends_on"] = list(settings["depends_on"])
    if retries is not None:
        settings["retry"] = Retry(max=retries, interval=list(waits) or 0)
    queue = Queue(name, session.store())
    if at is not None:
        job = queue.enqueue_at(_time(at), function, args=args, kwargs=kwargs, **settings)
    elif after is not None:
        job = queue.enqueue_in(timedelta(seconds=parse_duration(after)), function, args=args, kwargs=kwargs, **settings)
    else:
        job = queue.enqueue(function, args=args, kwargs=kwargs, **settings)
    click.echo(job.id)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--schedule-at: expected a time such as 2026-01-31T21:45:00, found {text!r}") from error


def _arguments(texts: tuple[str, ...]) -> tuple[list[Any], dict[str, Any]]:
    """Return positional and keyword arguments."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        bare = name.removesuffix(":").removesuffix("%")
        if not equals or not bare.isidentifier():
            args.append(_value(text[:1], text[1:]) if text[:1] in {":", "%", "@"} else text)
            continue
        mark = name[len(bare) :] or (value[:1] if value[:1] == "@" else "")
        kwargs[bare] = _value(mark, value.removeprefix("@") if mark == "@" else value) if mark else value
    return args, kwargs


def _value(mark: str, text: str) -> Any:
    try:
        if mark == ":":
            return json.loads(text)
        if mark == "%":
            from ast import literal_eval

            return literal_eval(text)
        return Path(text).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"argument @{text}: the file cannot be read: {error.strerror}") from error
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        kind = {":": "JSON", "%": "a Python literal", "@": "text in UTF-8"}[mark]
        raise UsageError(f"argument {text!r}: expected {kind}: {error}") from error
