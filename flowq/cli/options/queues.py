"""Options that the commands for plain queues share, under RQ's names. Light to import, as every module of options."""

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


@dataclass(slots=True)
class QueueOptions:
    """Where code is found, what it is made of, and the settings module."""

    config: str | None = None
    path: tuple[str, ...] = ()
    serializer: str | None = None
    job_class: str | None = None
    queue_class: str | None = None
    worker_class: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, session: "CliContext") -> None:
        """Make the code of the user importable, and take from the settings module what no option says.

        Raises:
            UsageError: a directory is not there, or the settings module cannot be used.
        """
        from flowq.exceptions import UsageError

        for directory in self.directories():
            if not Path(directory).is_dir():
                raise UsageError(f"-P {directory}: there is no such directory")
            if directory not in sys.path:
                sys.path.append(directory)  # behind what is there: a file of the user's must not stand in for a module of ours
        if self.config is not None:
            from flowq.cli.options.config_module import read_settings, url_of

            self.settings = read_settings(self.config)
            if session.url is None:
                session.url = url_of(self.settings, self.config)

    def directories(self) -> list[str]:
        """Return the directories that are added to the import path: those given, and the present one."""
        return [str(Path(item).expanduser().resolve()) for item in (*self.path, ".")]

    def set_up_logging(self) -> None:
        """Apply `DICT_CONFIG` of the settings module.

        Raises:
            UsageError: it is no configuration of logging.
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
        """Return what a dotted name stands for.

        Raises:
            UsageError: there is no such thing.
        """
        from flowq.dotted_names import resolve
        from flowq.exceptions import UsageError

        try:
            return resolve(name)
        except Exception as error:  # what the user's module does when it is imported
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
        """Return a queue as the options want it."""
        from flowq.dotted_names import load_class
        from flowq.queue import Queue

        kind = load_class(self.queue_class, Queue)
        return kind(name, session.store(), job_class=self.job_class, serializer=self.serializer)


def logging_options(*names: str) -> "Callable[[_Command], _Command]":
    """Add the options on logging; the command gets them as one argument, `log`: `level`, `format` and `dates`.

    Args:
        names: of the option for the level.
    """
    options = (
        click.option(*names, "log_level", type=click.Choice(LEVELS, case_sensitive=False), help="Log level.  [default: info]"),
        click.option("-v", "--verbose", is_flag=True, help="Tell more: --log-level debug."),
        click.option("-q", "--quiet", is_flag=True, help="Tell less: --log-level warning."),
        click.option(
            "--log-format",
            default="%(asctime)s %(message)s",
            metavar="FORMAT",
            help="Of each line, as Python's logging has it.",
        ),
        click.option("--date-format", default="%H:%M:%S", metavar="FORMAT", help="Of the times in it, as strftime has it."),
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
    """Add the options; the command gets them as one argument, `common`, ready for use.

    Args:
        config: the short form of `--config`; None where that letter means something else.
        passed: False for a command that has no use for them beyond what they do by themselves.
    """
    options = (
        click.option(
            *([config] if config else []),
            "--config",
            metavar="MODULE",
            envvar="FLOWQ_CONFIG",
            help="Python module with settings: REDIS_URL, QUEUES, …",
        ),
        click.option("-P", "--path", multiple=True, metavar="DIRECTORY", help="Import code from here too; may be repeated."),
        click.option("-S", "--serializer", metavar="NAME", help="Serializer: json, pickle, or a dotted name."),
        click.option("-j", "--job-class", metavar="CLASS", help="Class of jobs, by its dotted name."),
        click.option("--queue-class", metavar="CLASS", help="Class of queues, by its dotted name."),
        click.option("-w", "--worker-class", metavar="CLASS", help="Class of workers, by its dotted name."),
    )

    def decorate(command: _Command) -> _Command:
        @wraps(command)
        def with_common(session: "CliContext", *arguments: Any, **more: Any) -> Any:
            names = ("config", "path", "serializer", "job_class", "queue_class", "worker_class")
            common = QueueOptions(**{name: more.pop(name) for name in names})
            common.apply(session)
            return command(session, *arguments, **({"common": common} if passed else {}), **more)

        wrapped: Any = with_common
        for option in reversed(options):
            wrapped = option(wrapped)
        made: _Command = wrapped
        return made

    return decorate
