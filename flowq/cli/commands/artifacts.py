"""`flowq artifacts`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_jobs, complete_runs_and_jobs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.cli.targets import select_jobs, select_target
from flowq.cli.terminal import echo
from flowq.flows.views.artifacts import JobArtifact, artifact_json, artifacts_of, extract, with_artifacts
from flowq.flows.views.snapshot import read_plan, read_view
from flowq.flows.views.text import plural, safe_line

if TYPE_CHECKING:
    from flowq.store import Store


@click.group(epilog="Example: flowq artifacts list @latest", no_args_is_help=True)
def command() -> None:
    """List and download the files that jobs have left (`artifacts`)."""


@command.command("list", epilog="Example: flowq artifacts list @latest build --json")
@click.argument("run", required=False, shell_complete=complete_runs_and_jobs)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
def list_artifacts(session: CliContext, run: str | None, job: str | None, *, as_json: bool) -> None:
    """List the files of a run's artifacts.

    A single argument is a RUN, or a JOB of the latest run of this directory.
    """
    found = _found(session.store(), run, job, None)
    if as_json:
        show_json([artifact_json(item) for item in found])
    else:
        show(_table(found), session.out)


@command.command(epilog="Example: flowq artifacts get @latest build --name report --to downloads")
@click.argument("run", required=False, shell_complete=complete_runs_and_jobs)
@click.argument("job", required=False, shell_complete=complete_jobs)
@click.option("--name", metavar="NAME", help="Only the artifact with this name.")
@click.option("--to", "directory", type=click.Path(file_okay=False), default="artifacts", show_default=True, help="Where to.")
@url_option
@pass_context
def get(session: CliContext, run: str | None, job: str | None, *, name: str | None, directory: str) -> None:
    """Download the files of a run's artifacts.

    They go to DIRECTORY/JOB/NAME/PATH; each is compared with the digest that its job has recorded.
    """
    store = session.store()
    found = _found(store, run, job, name)
    count = 0
    for path in extract(store, found, directory):
        echo(safe_line(path))
        count += 1
    if not count:
        echo(f"no files: {plural(len(found), 'artifact')} without any")


def _found(store: "Store", run: str | None, job: str | None, name: str | None) -> list[JobArtifact]:
    target = select_target(store, run, job)
    ordinals: Sequence[int] | None = None
    if target.job is not None:
        ordinals = select_jobs(read_plan(store, target.run), target.run, target.job)
    return artifacts_of(with_artifacts(store, read_view(store, target.run)), ordinals, name)


def _table(found: Sequence[JobArtifact]) -> Iterator[Line]:
    rows = [
        (safe_line(item.job.name), item.name, f"{file.size:,}", file.sha256[:12], safe_line(file.path))
        for item in found
        for file in item.manifest.files
    ]
    head = ("JOB", "ARTIFACT", "BYTES", "SHA-256", "PATH")
    widths = [max(columns(row[index]) for row in (head, *rows)) for index in range(4)]
    yield ((_row(head, widths), "dim"),)
    for row in rows:
        yield ((_row(row, widths), ""),)
    for item in found:
        if not item.manifest.files:
            yield ((f"{safe_line(item.job.name)}  {item.name}  no files", "dim"),)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    job, name, size, digest, path = cells
    return f"{pad(job, widths[0])}  {pad(name, widths[1])}  {size.rjust(widths[2])}  {pad(digest, widths[3])}  {path}"
