"""Options that several commands share. Light to import: a command's module is imported before its options are known."""

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from flowq.cli.reports import Reporting

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is executed and shown by the command that submits, resumes or retries it."""

    detach: bool = False
    workers: int | None = None
    as_json: bool = False
    reporting: Reporting = field(default_factory=Reporting)

    def check(self) -> None:
        """See beforehand that nothing stands in the way.

        Raises:
            UsageError: an impossible combination, or a report that cannot be written.
        """
        self.reporting.check(detach=self.detach, as_json=self.as_json)


def execution_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Add the options that say how a run is executed; the command gets them as one argument, `manner`."""

    @wraps(command)
    def with_manner(
        *arguments: Any,
        detach: bool,
        workers: int | None,
        as_json: bool,
        junit: str | None,
        annotations: str | None,
        **more: Any,
    ) -> Any:
        return command(*arguments, manner=Manner(detach, workers, as_json, Reporting(junit, annotations)), **more)

    options = (
        click.option("--detach", is_flag=True, help="Do not follow: print the run's id; it goes on in the background."),
        click.option(
            "--workers", type=click.IntRange(1, 512), metavar="N", help="Jobs executed side by side.  [default: one per core]"
        ),
        click.option("--junit", metavar="FILE", help="At the end, write a JUnit report: one test case per job."),
        click.option(
            "--annotations",
            type=click.Choice(("github", "gitlab")),
            help="Fold the output of each job and mark failures, as this CI system reads it.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one event per line, then the run, as JSON."),
    )
    wrapped: Callable[..., Any] = with_manner
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
