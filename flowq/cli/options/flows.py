"""Options of commands for flows. This module is light to import, because completion and `--help` import it too."""

from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from flowq.cli.completion.candidates import complete_flow_jobs, complete_flow_stages, complete_flows, complete_params
from flowq.cli.options.types import Pair, params_of
from flowq.cli.render.reports import Reporting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowq.plan import Json, Plan, Selection


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a flow is compiled with: the values of params, one by one and in a file (those of `values` win), and the project's root.

    `run`: what is known of the run, see `flowq.compiler.compile_file`.
    """

    values: "Mapping[str, Json]" = field(default_factory=dict)
    file: str | None = None
    root: str | None = None
    run: "Mapping[str, Json]" = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether any was given."""
        return bool(self.values or self.run) or (self.file, self.root) != (None, None)


def param_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Add the options for params; the command gets them as one argument, `inputs`."""

    @wraps(command)
    def with_inputs(
        *arguments: Any, params: tuple[tuple[str, str], ...], params_file: str | None, root: str | None, **more: Any
    ) -> Any:
        return command(*arguments, inputs=Inputs(params_of(params), params_file, root), **more)

    wrapped: Callable[..., Any] = click.option(
        "--params-file",
        metavar="PATH",
        shell_complete=complete_flows,
        help="YAML or JSON file with values of params by name; -p takes precedence.",
    )(with_inputs)
    wrapped = click.option(
        "--root",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False),
        help="Directory in which the files lie that the flow names.  [default: the nearest with flowq.toml or .git]",
    )(wrapped)
    return click.option(
        "-p",
        "--param",
        "params",
        type=Pair(),
        multiple=True,
        shell_complete=complete_params,
        help="Value of a param of the flow; may be repeated.",
    )(wrapped)


@dataclass(frozen=True, slots=True)
class Manner:
    """The options for the execution and display of a run, for commands that submit, resume or retry it."""

    detach: bool = False
    workers: int | None = None
    as_json: bool = False
    cache: bool = True
    notify: bool = True
    reporting: Reporting = field(default_factory=Reporting)
    output: str | None = None  # live, lines or quiet; None: live on a terminal, else lines
    page: bool = False  # print the address of the run's page
    url: str | None = None  # the server that the command was given, which a worker of its own needs too

    def check(self) -> None:
        """Check the options before anything is submitted.

        Raises:
            UsageError: an impossible combination, or a report that cannot be written.
        """
        if self.output is not None:
            self._check_output(self.output)
        self.reporting.check(detach=self.detach, as_json=self.as_json)

    def _check_output(self, output: str) -> None:
        import sys

        from flowq.cli.terminal import Terminal
        from flowq.exceptions import UsageError

        if self.detach:
            raise UsageError(f"--detach shows nothing of the run: leave out --output {output}")
        if self.as_json:
            raise UsageError(f"--json and --output {output} both want standard output: choose one")
        if self.reporting.annotations:
            raise UsageError(f"--annotations and --output {output} both want standard output: choose one")
        if output == "live" and not Terminal.of(sys.stdout).live:
            raise UsageError(
                "--output live needs a terminal (with CI or TERM=dumb set, it is treated as none): leave it out, or use --output lines"
            )


@dataclass(frozen=True, slots=True)
class Part:
    """The selected part of a flow, as typed."""

    jobs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.stages or self.until or self.without)

    def of(self, plan: "Plan") -> "Plan":
        """Return the plan with only this part selected."""
        from flowq.flows.actions.selection import select

        return select(plan, self.selection())

    def selection(self) -> "Selection":
        """Return the selection as a plan stores it."""
        from flowq.plan import Selection

        return Selection(self.jobs, self.stages, self.until, self.without)


output_option = click.option(
    "--output",
    type=click.Choice(("live", "lines", "quiet")),
    help="live: a table that is redrawn below the output of the jobs; lines: a line per change; quiet: only the summary."
    "  [default: live on a terminal, else lines]",
)


def execution_options(command: "Callable[..., Any]") -> "Callable[..., Any]":
    """Add the options for the execution of a run; the command gets them as one argument, `manner`."""

    @wraps(command)
    def with_manner(
        *arguments: Any,
        detach: bool,
        workers: int | None,
        as_json: bool,
        junit: str | None,
        annotations: str | None,
        no_cache: bool,
        output: str | None,
        **more: Any,
    ) -> Any:
        manner = Manner(detach, workers, as_json, not no_cache, reporting=Reporting(junit, annotations), output=output)
        return command(*arguments, manner=manner, **more)

    options = (
        click.option("--detach", is_flag=True, help="Do not follow the run: print its id and let it run in the background."),
        click.option(
            "--workers", type=click.IntRange(1, 512), metavar="N", help="Jobs executed in parallel.  [default: one per core]"
        ),
        click.option(
            "--no-cache", is_flag=True, help="Execute jobs with `cache` even if a result is cached; cache the new results."
        ),
        output_option,
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
    """Add the options that select a part of a flow; the command gets them as one argument, `part`."""

    @wraps(command)
    def with_part(
        *arguments: Any,
        only_jobs: tuple[str, ...],
        stages: tuple[str, ...],
        until: tuple[str, ...],
        without: tuple[str, ...],
        **more: Any,
    ) -> Any:
        return command(*arguments, part=Part(only_jobs, stages, until, without), **more)

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
        click.option(
            "--without",
            metavar="JOB",
            multiple=True,
            shell_complete=complete_flow_jobs,
            help="Not this job: what waits for it does not wait for it; may be repeated.",
        ),
    )
    wrapped: Callable[..., Any] = with_part
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
