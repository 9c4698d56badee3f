"""`flowq enqueue`."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from flowq import defaults
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.options.queues import QueueOptions, queue_options
from flowq.durations import parse_duration
from flowq.exceptions import UsageError

_MARKS: Final = {":": "JSON", "%": "a Python literal"}
_FAILED: Final = {":": "Unable to parse {} as JSON.", "%": "Unable to eval {} as Python object."}  # RQ's sentences


@click.command(epilog="Example: flowq enqueue myapp.jobs.report 42 day=2026-01-31 'parts:=[1, 2]'")
@click.argument("function")
@click.argument("arguments", nargs=-1, metavar="[ARGUMENT]...")
@click.option("-q", "--queue", "name", default=defaults.QUEUE, show_default=True, metavar="QUEUE", help="Queue of the job.")
@click.option("--timeout", metavar="TIME", help="Time limit of one execution.")
@click.option("--result-ttl", metavar="TIME", help="How long the job and its result are kept if it succeeds.")
@click.option("--ttl", metavar="TIME", help="How long the job may wait in the queue before it is discarded.")
@click.option("--failure-ttl", metavar="TIME", help="How long the job is kept if it fails.")
@click.option("--description", metavar="TEXT", help="Description of the job.")
@click.option("--depends-on", multiple=True, metavar="JOB", help="Id of a job that must succeed first; may be repeated.")
@click.option("--job-id", metavar="ID", help="Its id.")
@click.option("--at-front", is_flag=True, help="Put the job at the front of the queue.")
@click.option("--retry-max", type=click.IntRange(1), metavar="N", help="Retry the job up to N times when it fails.")
@click.option("--retry-interval", multiple=True, type=float, metavar="SECONDS", help="Delay before a retry; may be repeated.")
@click.option("--schedule-in", metavar="TIME", help="Enqueue the job after this time: 10s, 5m, 2d.")
@click.option(
    "--schedule-at", metavar="WHEN", help="Enqueue the job at this time: 2026-01-31T21:45:00; local time unless it has a zone."
)
@click.option("--quiet", is_flag=True, help="Print nothing.")
@url_option
@pass_context
@queue_options()
def command(
    session: CliContext,
    /,
    function: str,
    arguments: tuple[str, ...],
    name: str,
    common: QueueOptions,
    *,
    quiet: bool,
    **options: Any,
) -> None:
    """Enqueue a call of a Python function.

    Prints the id of the job. FUNCTION is a dotted name. An ARGUMENT is text, `:VALUE` for JSON, or `%VALUE` for a Python literal.
    A keyword argument is `NAME=TEXT`, `NAME:=VALUE` for JSON, or `NAME%=VALUE` for a literal. A VALUE `@FILE` is read from a
    file.
    """
    from flowq.retry import Retry

    args, kwargs = _arguments(arguments)
    waits = options.pop("retry_interval")
    retries, at, after = options.pop("retry_max"), options.pop("schedule_at"), options.pop("schedule_in")
    if at is not None and after is not None:
        raise click.UsageError("You can't specify both --schedule-in and --schedule-at")
    settings = {option: value for option, value in options.items() if value not in {None, ()}}
    settings["job_timeout"] = settings.pop("timeout", None)
    if "depends_on" in settings:
        settings["depends_on"] = list(settings["depends_on"])
    if retries is not None:
        settings["retry"] = Retry(max=retries, interval=list(waits) or 0)
    queue = common.queue(name, session)
    if at is not None:
        job = queue.enqueue_at(_time(at), function, args=args, kwargs=kwargs, **settings)
    elif after is not None:
        job = queue.enqueue_in(timedelta(seconds=parse_duration(after)), function, args=args, kwargs=kwargs, **settings)
    else:
        job = queue.enqueue(function, args=args, kwargs=kwargs, **settings)
    if not quiet:
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
            mark = text[:1] if text[:1] in _MARKS else ""
            args.append(_value(mark, text.removeprefix(mark), f"{len(args) + 1}. non keyword argument"))
            continue
        if bare in kwargs:
            raise UsageError(f"You can't specify multiple values for the same keyword. {bare} is given twice")
        kwargs[bare] = _value(name[len(bare) :], value, bare)
    return args, kwargs


def _value(mark: str, text: str, place: str) -> Any:
    source = text
    try:
        if text.startswith("@"):
            source = Path(text[1:]).read_text(encoding="utf-8")
        if mark == ":":
            return json.loads(source)
        if mark == "%":
            from ast import literal_eval

            return literal_eval(source)
    except FileNotFoundError as error:
        raise UsageError(f"argument {text}: Not found: there is no such file") from error
    except OSError as error:
        raise UsageError(f"argument {text}: the file cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"argument {text}: expected a file with text in UTF-8, byte {error.start} is none") from error
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        detail = "" if text.startswith("@") else f": {error}"  # which may quote the file
        raise UsageError(f"{_FAILED[mark].format(place)} Found {text!r}, expected {_MARKS[mark]}{detail}") from error
    return source
