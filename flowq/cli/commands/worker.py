"""`flowq worker`."""

import os
import sys
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Final

import click

from flowq import defaults
from flowq.cli import exit_codes
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.queues import QueueOptions, logging_options, queue_options, worker_ttl_option
from flowq.config import environment_of
from flowq.worker import signals

_STRATEGIES: Final = ("default", "round_robin", "random")
_NOT_NEEDED: Final = (
    # options that RQ needs and flowq does not: accepted and ignored, so that command lines written for RQ work
    (("-s", "--with-scheduler"), {"is_flag": True}),
    (("--disable-job-desc-logging",), {"is_flag": True}),
    (("--maintenance-interval",), {"type": int}),
    (("--job-monitoring-interval",), {"type": int}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WorkerOptions:
    """The options of the worker, with the names of the command's parameters."""

    queues: tuple[str, ...]
    concurrency: int | None
    name: str | None
    burst: bool
    max_jobs: int | None
    max_idle_time: float | None
    results_ttl: float
    worker_ttl: float | None
    dequeue_strategy: str | None
    handlers: tuple[str, ...]
    unlisted: bool
    preload: tuple[str, ...]
    allow: tuple[str, ...]
    isolation: str | None
    executor: str | None
    log: dict[str, str]

    def needs_this_process(self, common: QueueOptions) -> bool:
        """Return whether the worker has classes or functions of the user, which this process imports."""
        classes = (common.worker_class, common.job_class, common.queue_class, common.serializer, common.connection_class)
        return any((*classes, *self.handlers, self.unlisted, common.settings.get("DICT_CONFIG")))

    def refusal(self, *, is_own: bool) -> tuple[str, int] | None:
        """Return why there is no such worker, and the exit code. `is_own`: it needs this process."""
        if self.dequeue_strategy not in {None, *_STRATEGIES}:
            expected = f"--dequeue-strategy must be one of {', '.join(_STRATEGIES)}"
            return f"{expected}, found {self.dequeue_strategy!r}", exit_codes.FAILED  # as in RQ
        if (wrong := _isolation_problem(self.isolation)) is not None:
            return f"--isolation: {wrong}", exit_codes.USAGE
        for option, given, reason in (
            ("--isolation", self.isolation, "each job of these has its process"),
            ("--executor", self.executor, "each job of these is forked from a copy of the worker"),
        ):
            if is_own and given is not None:
                return f"{option} is not for workers with classes or functions of their own: {reason}", exit_codes.USAGE
        return None


class _NumberOrModule(click.IntRange):
    """A number of jobs, or (as of RQ's `-c`) the name of a settings module, which stays a text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number or the text."""
        if isinstance(value, str) and not value.lstrip("-").isdigit():
            return value
        return super().convert(value, param, ctx)


def _with_settings_by_c(command: Any) -> Any:
    """Let `-c MODULE` be `--config MODULE`."""

    @wraps(command)
    def sorted_out(session: CliContext, *arguments: Any, concurrency: tuple[int | str, ...], **more: Any) -> Any:
        modules = [value for value in concurrency if isinstance(value, str)]
        numbers = [value for value in concurrency if isinstance(value, int)]
        if modules:
            more["config"] = modules[-1]
        return command(session, *arguments, concurrency=numbers[-1] if numbers else None, **more)

    return sorted_out


def _not_needed(command: Any) -> Any:
    for names, settings in reversed(_NOT_NEEDED):
        command = click.option(*names, expose_value=False, hidden=True, **settings)(command)
    return command


@click.command(epilog="Example: flowq worker high default -c 4")
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "-c",
    "--concurrency",
    type=_NumberOrModule(1, 512),
    multiple=True,
    metavar="N",
    help="Jobs executed side by side.  [default: 1]  As -c MODULE: the settings module, as --config.",
)
@click.option("-b", "--burst", is_flag=True, help="Stop when the queues are empty.")
@click.option("-n", "--name", metavar="NAME", help="Name of the worker.  [default: made from host and process]")
@click.option("--max-jobs", type=click.IntRange(1), metavar="N", help="Stop after N jobs.")
@click.option(
    "--max-idle",
    "--max-idle-time",
    "max_idle_time",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Stop after this time without a job.",
)
@click.option(
    "--results-ttl",
    default=str(int(defaults.RESULT_TTL)),
    metavar="TIME",
    help="How long finished jobs without a result TTL of their own are kept.",
)
@worker_ttl_option
@click.option(
    "-ds",
    "--dequeue-strategy",
    metavar="[default|round_robin|random]",
    help="Order in which queues are served.  [default: as given]",
)
@click.option(
    "--exception-handler",
    "handlers",
    multiple=True,
    metavar="FUNCTION",
    help="Call this function when a job fails; may be repeated.",
)
@click.option("-d", "--disable-default-exception-handler", "unlisted", is_flag=True, help="Do not list failed jobs as failed.")
@click.option("--preload", multiple=True, metavar="MODULE", help="Import this module before the first job; may be repeated.")
@click.option(
    "--allow",
    multiple=True,
    metavar="PATTERN",
    help="Execute only functions that match ('reports.*'), and `run`: commands; may be repeated.",
)
@click.option(
    "--isolation",
    metavar="[job|batch|batch:N]",
    help="A process for each job, or one for several (N, 100) that leave nothing behind; batch,QUEUE=job for some queues.  [default: job]",
)
@click.option(
    "--executor",
    metavar="NAME",
    help="Execute the jobs elsewhere, as [executors.NAME] of flowq.toml says.",
)
@click.option("--pid", type=click.Path(dir_okay=False), metavar="FILE", help="Write the process id to this file.")
@logging_options("--log-level", "--logging-level", "--logging_level", "-l")
@_not_needed
@url_option
@pass_context
@_with_settings_by_c
@queue_options(config=None)
def command(
    session: CliContext,
    common: QueueOptions,
    *,
    queues: tuple[str, ...],
    name: str | None,
    results_ttl: str,
    pid: str | None,
    **chosen: Any,
) -> int:
    """Execute the jobs of queues.

    Queues are served in the order given; without one, the queue "default". After the first Ctrl+C the worker finishes its jobs
    and stops; a second one requeues them.
    """
    from flowq.durations import parse_duration

    options = _WorkerOptions(
        queues=queues or common.queues() or (defaults.QUEUE,),
        name=name or common.settings.get("NAME"),
        results_ttl=parse_duration(results_ttl, never=True),
        **chosen,
    )
    is_own = options.needs_this_process(common)
    if (refusal := options.refusal(is_own=is_own)) is not None:
        text, code = refusal
        complain(f"error: {text}")
        return code
    common.set_up_logging()
    # A burst that executes nothing is no success; without one, the worker waits.
    if options.burst and session.store().queues.suspended():
        complain("error: workers are suspended, so nothing is executed: `flowq resume` resumes them")
        return exit_codes.FAILED  # as in RQ
    if pid is not None:
        _write_pid(pid)
    sys.stdout.flush()
    if is_own:
        _run_worker(options, common, session)
    else:
        _exec_worker(options, common, session)
    return exit_codes.OK


def _isolation_problem(text: str | None) -> str | None:
    from flowq.isolation import read_isolation

    try:
        read_isolation(text or "job")
    except ValueError as error:
        return str(error)
    return None


def _exec_worker(options: _WorkerOptions, common: QueueOptions, session: CliContext) -> None:
    """Replace this process by a worker: a light program that receives signals directly."""
    argv = ["--burst"] if options.burst else []
    values = {
        "--slots": options.concurrency,
        "--executor": options.executor,
        "--name": options.name,
        "--max-jobs": options.max_jobs,
        "--max-idle": options.max_idle_time,
        "--result-ttl": None if options.results_ttl == defaults.RESULT_TTL else options.results_ttl,
        "--lease": options.worker_ttl,
        "--strategy": options.dequeue_strategy,
        "--isolation": options.isolation,
        "--log-level": options.log["level"],
        "--log-format": options.log["format"],
        "--date-format": options.log["dates"],
    }
    argv += [f"{option}={value}" for option, value in values.items() if value is not None]
    argv += [f"--preload={module}" for module in options.preload]
    argv += [f"--allow={pattern}" for pattern in options.allow]
    argv += [f"--path={directory}" for directory in common.directories()]
    # The address of the server is passed in the environment, because every user of the machine can read a command line.
    environment = dict(os.environ)
    if session.url is not None:
        environment |= environment_of(session.url)
    signals.hold()  # a signal that arrives during exec is for the worker
    os.execve(sys.executable, [sys.executable, "-P", "-m", "flowq.worker.main", *argv, "--", *options.queues], environment)


def _run_worker(options: _WorkerOptions, common: QueueOptions, session: CliContext) -> None:
    """Run the worker in this process: it imports the user's classes and functions, and forks the jobs."""
    from flowq.dotted_names import load_class
    from flowq.worker.worker import Worker

    handlers = [common.function(name, "--exception-handler") for name in options.handlers]
    for module in options.preload:
        common.module(module, "--preload")
    if os.environ.get("FLOWQ_COMPAT"):
        common.module("rq", "FLOWQ_COMPAT")  # instrumentations patch it when it is imported
    worker = load_class(common.worker_class, Worker)(
        list(options.queues),
        options.name,
        options.results_ttl,
        session.store(),
        handlers,
        disable_default_exception_handler=options.unlisted,
        job_class=common.job_class,
        queue_class=common.queue_class,
        serializer=common.serializer,
        worker_ttl=options.worker_ttl,
    )
    worker.work(
        burst=options.burst,
        logging_level=options.log["level"].upper(),
        date_format=options.log["dates"],
        log_format=options.log["format"],
        max_jobs=options.max_jobs,
        max_idle_time=options.max_idle_time,
        dequeue_strategy=options.dequeue_strategy,
        slots=options.concurrency or 1,
        allow=options.allow,
    )


def _write_pid(path: str) -> None:
    from flowq.exceptions import UsageError

    try:
        Path(path).expanduser().write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise UsageError(f"--pid {path}: the file cannot be written: {error.strerror}") from error
