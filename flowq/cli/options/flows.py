"""Options that several commands share. Light to import: a command's module is imported before its options are known."""

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from flowq.cli.completion.candidates import complete_files, complete_flow_jobs, complete_flow_stages
from flowq.cli.options.types import Pair, params_of
from flowq.cli.render.reports import Reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowq.plan import Json, Plan, Selection


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a flow is compiled with: the values of params, one by one and in a file (those of `values` win), and the project's root."""

    values: "Mapping[str, Json]" = field(default_factory=dict)
    file: str | None = None
    root: str | None = None

    def __bool__(self) -> bool:
        """Whether any was given."""
        return bool(self.values) or (self.file, self.root) != (None, None)


def param_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Add the options that give values to the params of a flow; the command gets them as one argument, `inputs`."""

    @wraps(command)
    def with_inputs(
        *arguments: Any, params: tuple[tuple[str, str], ...], params_file: str | None, root: str | None, **more: Any
    ) -> Any:
        return command(*arguments, inputs=Inputs(params_of(params), params_file, root), **more)

    wrapped: Callable[..., Any] = click.option(
        "--params-file",
        metavar="PATH",
        shell_complete=complete_files,
        help="YAML or JSON file with values of params by name; -p wins over it.",
    )(with_inputs)
    wrapped = click.option(
        "--root",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Directory in which the files lie that the flow names.  [default: the nearest with flowq.toml or .git]",
    )(wrapped)
    return click.option(
        "-p", "--param", "params", type=Pair(), multiple=True, help="Value of a param of the flow; may be repeated."
    )(wrapped)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run is executed and shown by the command that submits, resumes or retries it."""

    detach: bool = False
    workers: int | None = None
    as_json: bool = False
    cache: bool = True
    reporting: Reporting = field(default_factory=Reporting)

    def check(self) -> None:
        """See beforehand that nothing stands in the way.

        Raises:
            UsageError: an impossible combination, or a report that cannot be written.
        """
        self.reporting.check(detach=self.detach, as_json=self.as_json)


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a flow that was asked for, as typed."""

    jobs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.stages or self.until)

    def of(self, plan: "Plan") -> "Plan":
        """Return the plan with only this part of it selected."""
        from flowq.flows.actions.selection import select

        return select(plan, self.selection())

    def selection(self) -> "Selection":
        """Return it in the plan's own form."""
        from flowq.plan import Selection

        return Selection(self.jobs, self.stages, self.until)


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
        no_cache: bool,
        **more: Any,
    ) -> Any:
        manner = Manner(detach, workers, as_json, not no_cache, Reporting(junit, annotations))
        return command(*arguments, manner=manner, **more)

    options = (
        click.option("--detach", is_flag=True, help="Do not follow: print the run's id; it goes on in the background."),
        click.option(
            "--workers", type=click.IntRange(1, 512), metavar="N", help="Jobs executed side by side.  [default: one per core]"
        ),
        click.option("--no-cache", is_flag=True, help="Run jobs with `cache` whatever is kept; their results are kept again."),
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


def selection_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Add the options that pick a part of a flow; the command gets them as one argument, `part`."""

    @wraps(command)
    def with_part(
        *arguments: Any, only_jobs: tuple[str, ...], stages: tuple[str, ...], until: tuple[str, ...], **more: Any
    ) -> Any:
        return command(*arguments, part=Part(only_jobs, stages, until), **more)

    options = (
        click.option(
            "--job",
            "only_jobs",
            metavar="JOB",
            multiple=True,
            shell_complete=complete_flow_jobs,
            help="Only this job, without what it depends on; may be repeated.",
        ),
        click.option(
            "--stage",
            "stages",
            metavar="STAGE",
            multiple=True,
            shell_complete=complete_flow_stages,
            help="Only the jobs of this stage; may be repeated.",
        ),
        click.option(
            "--until",
            metavar="JOB",
            multiple=True,
            shell_complete=complete_flow_jobs,
            help="Only this job and everything it needs; may be repeated.",
        ),
    )
    wrapped: Callable[..., Any] = with_part
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
