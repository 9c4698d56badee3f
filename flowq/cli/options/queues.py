"""Options of commands for plain queues, under RQ's names. This module is light to import, like all modules of options."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.cli.context import CliContext

LEVELS = ("debug", "info", "warning", "error", "critical")

_Command = TypeVar("_Command", bound="Callable[..., Any]")


def _behind_packages() -> int:
    """Return the place of a user's directory in the import path: its files must not shadow installed modules, such as those of flowq.

    Projects that are installed in editable mode come after it: their tests or scripts may have the names of the user's modules.
    """
    packages = str(Path(click.__file__).parents[1])
    return sys.path.index(packages) + 1 if packages in sys.path else len(sys.path)


@dataclass(slots=True)
class QueueOptions:
    """Import paths, classes, serializer, and the settings module."""

    config: str | None = None
    path: tuple[str, ...] = ()
    serializer: str | None = None
    job_class: str | None = None
    queue_class: str | None = None
    worker_class: str | None = None
    connection_class: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, session: "CliContext") -> None:
        """Make the user's code importable, and read the settings module for values that no option gives.

        Raises:
            UsageError: a directory does not exist, or the settings module cannot be used.
        """
        from flowq.exceptions import UsageError

        for directory in self.directories():
            if not Path(directory).is_dir():
                raise UsageError(f"-P {directory}: there is no such directory")
            if directory not in sys.path:
                sys.path.insert(_behind_packages(), directory)
        if self.config is not None:
            from flowq.cli.options.config_module import read_settings, url_of
            from flowq.config import Setting

            self.settings = read_settings(self.config)
            if session.url is None:
                url = url_of(self.settings, self.config)
                session.url = None if url is None else Setting(url, self.config)
        session.client_class = self.connection_class

    def directories(self) -> list[str]:
        """Return the directories to add to the import path: those given, and the current one."""
        return [str(Path(item).expanduser().resolve()) for item in (*self.path, ".")]

    def set_up_logging(self) -> None:
        """Apply `DICT_CONFIG` of the settings module.

        Raises:
            UsageError: it is not a logging configuration.
        """
        wanted = self.settings.get("DICT_CONFIG")
        if not wanted:
            return
        from logging.config import dictConfig

        from flowq.exceptions import UsageError

        try:
            dictConfig(wanted)
        except (ValueError, TypeError, AttributeError, ImportError) as error:
            raise UsageError(f"{self.config}: DICT_CONFIG: {error}") from error

    def queues(self) -> tuple[str, ...]:
        """Return the names of the queues that the settings module names."""
        if not self.settings:
            return ()
        from flowq.cli.options.config_module import queues_of

        return queues_of(self.settings, str(self.config))

    @staticmethod
    def function(name: str, option: str) -> Any:
        """Return the object of a dotted name.

        Raises:
            UsageError: it does not exist.
        """
        from flowq.dotted_names import resolve
        from flowq.exceptions import UsageError

        try:
            return resolve(name)
        except Exception as error:  # importing the user's module may raise anything
            raise UsageError(f"{option} {name}: {type(error).__name__}: {error}") from error

    @staticmethod
    def module(name: str, option: str) -> None:
        """Import a module.

        Raises:
            UsageError: it cannot be imported.
        """
        from importlib import import_module

        from flowq.exceptions import UsageError

        try:
            import_module(name)
        except Exception as error:
            raise UsageError(f"{option} {name}: {type(error).__name__}: {error}") from error

    def job(self) -> Any:
        """Return the class of jobs."""
        from flowq.dotted_names import load_class
        from flowq.job import Job

        return load_class(self.job_class, Job)

    def queue(self, name: str, session: "CliContext") -> Any:
        """Return a queue with the classes and serializer of the options."""
        from flowq.dotted_names import load_class
        from flowq.queue import Queue

        kind = load_class(self.queue_class, Queue)
        return kind(name, session.store(), job_class=self.job_class, serializer=self.serializer)


def worker_ttl_option(command: _Command) -> _Command:
    """Add `--worker-ttl`: the seconds as a number, None if it is not given."""
    decorated: _Command = click.option(
        "--worker-ttl",
        type=click.FloatRange(0.5, 3600),
        metavar="SECONDS",
        help="Time without a heartbeat after which the worker counts as dead.  [default: 10]",
    )(command)
    return decorated


def logging_options(*names: str, line: str = "%(asctime)s %(message)s") -> "Callable[[_Command], _Command]":
    """Add the options for logging; the command gets them as one argument, `log`: `level`, `format` and `dates`.

    Args:
        names: the names of the option for the level.
        line: the default format.
    """
    options = (
        click.option(*names, "log_level", type=click.Choice(LEVELS, case_sensitive=False), help="Log level.  [default: info]"),
        click.option("-v", "--verbose", is_flag=True, help="Log more: --log-level debug."),
        click.option("-q", "--quiet", is_flag=True, help="Log less: --log-level warning."),
        click.option(
            "--log-format",
            default=line,
            metavar="FORMAT",
            help="Format of a log line, in the syntax of Python's logging, or `json`.",
        ),
        click.option(
            "--date-format", default="%H:%M:%S", metavar="FORMAT", help="Format of its time, in the syntax of strftime."
        ),
    )

    def decorate(command: _Command) -> _Command:
        @wraps(command)
        def with_log(
            *arguments: Any, log_level: str | None, log_format: str, date_format: str, verbose: bool, quiet: bool, **more: Any
        ) -> Any:
            if verbose and quiet:
                raise click.UsageError("--verbose and --quiet exclude each other")
            level = "debug" if verbose else "warning" if quiet else log_level or "info"
            return command(*arguments, log={"level": level, "format": log_format, "dates": date_format}, **more)

        wrapped: Any = with_log
        for option in reversed(options):
            wrapped = option(wrapped)
        made: _Command = wrapped
        return made

    return decorate


def queue_options(*, config: str | None = "-c", passed: bool = True) -> "Callable[[_Command], _Command]":
    """Add the options for queues; the command gets them as one argument, `common`, already applied.

    Args:
        config: the short form of `--config`; None where that letter means something else.
        passed: False for a command that does not take the argument.
    """
    options = (
        click.option(
            *([config] if config else []),
            "--config",
            metavar="MODULE",
            envvar="FLOWQ_CONFIG",
            help="Python module with settings: REDIS_URL, QUEUES, …",
        ),
        click.option(
            "-P", "--path", multiple=True, metavar="DIRECTORY", help="Add this directory to the import path; may be repeated."
        ),
        click.option("-S", "--serializer", metavar="NAME", help="Serializer: json, pickle, or a dotted name."),
        click.option("-j", "--job-class", metavar="CLASS", help="Dotted name of the class of jobs."),
        click.option("--queue-class", metavar="CLASS", help="Dotted name of the class of queues."),
        click.option("-w", "--worker-class", metavar="CLASS", help="Dotted name of the class of workers."),
        click.option("--connection-class", metavar="CLASS", help="Dotted name of the class of redis-py clients."),
    )

    def decorate(command: _Command) -> _Command:
        @wraps(command)
        def with_common(session: "CliContext", *arguments: Any, **more: Any) -> Any:
            names = ("config", "path", "serializer", "job_class", "queue_class", "worker_class", "connection_class")
            common = QueueOptions(**{name: more.pop(name) for name in names})
            common.apply(session)
            return command(session, *arguments, **({"common": common} if passed else {}), **more)

        wrapped: Any = with_common
        for option in reversed(options):
            wrapped = option(wrapped)
        made: _Command = wrapped
        return made

    return decorate
