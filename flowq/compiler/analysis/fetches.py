"""Checks of `fetch` that need the graph: which job's artifact it is, whether there is one by then, and what would be overwritten."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.compiler.analysis.expressions import Outer
from flowq.compiler.analysis.graph import Graph
from flowq.compiler.analysis.matrix_cells import Cells
from flowq.compiler.binding.artifacts import OPTIONAL
from flowq.compiler.binding.spec import JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.syntax.source import Report
from flowq.plan import Artifact, Fetch, Json

_FILE = re.compile(
    r"(?:[^*?\[{!/]+/)*[^*?\[{!/.][^*?\[{!/]*\.[^*?\[{!/.]+"
)  # a constant path whose last part looks like a file's
_SEVERAL: Final = 2


@dataclass(frozen=True, slots=True)
class _Asked:
    """One entry of a job's `fetch`, and the job that it names."""

    asker: JobSpec
    item: Fetch
    span: Span
    job: JobSpec
    number: int | None  # of the job in the graph of the asker; None: of the graph before the handlers

    @property
    def artifact(self) -> Artifact | None:
        """The artifact, if the job has it."""
        return next((one for one in self.job.artifacts if one.name == self.item.artifact), None)


def check_fetches(graph: Graph, cells: Mapping[str, Cells], report: Report, outer: Outer | None = None) -> None:
    """Report what is wrong with the `fetch` of jobs.

    Args:
        graph: of these jobs.
        cells: of those with a matrix, and of the jobs of `outer`.
        report: gets the problems.
        outer: the graph, if the jobs are handlers.
    """
    others = {job.name: job for job in outer.jobs if not job.counts} if outer is not None else {}
    for number, job in enumerate(graph.jobs):
        if not job.fetch:
            continue
        asked = list(_known(job, graph, others, report))
        for one in asked:
            if _has_artifact(one, report):
                _check_order(one, number, graph, outer, report)
        _check_places(asked, cells, report)


def _known(job: JobSpec, graph: Graph, others: Mapping[str, JobSpec], report: Report) -> Iterator[_Asked]:
    for item, span in zip(job.fetch, job.fetch_spans, strict=True):
        number = graph.numbers.get(item.job)
        if number is not None and not graph.jobs[number].counts:
            yield _Asked(job, item, span, graph.jobs[number], number)
        elif item.job in others:
            yield _Asked(job, item, span, others[item.job], None)
        elif not report.full:
            known = [one.name for one in (*others.values(), *graph.jobs) if one.artifacts]
            message = f"`{job.name}` fetches from `{item.job[:60]}`, which is not a job of this flow"
            hint = did_you_mean(item.job, known, "jobs with artifacts are") or "no job has `artifacts`"
            report.add(Code.UNKNOWN_JOB, span, message, hint)


def _has_artifact(one: _Asked, report: Report) -> bool:
    if one.artifact is not None:
        return True
    job = one.job
    message = f"job `{job.name}` has no artifact `{one.item.artifact[:60]}`"
    if job.sub is not None:
        hint = "a job with `flow` has no artifacts of its own: fetch them in a job of that flow"
    elif not job.artifacts:
        hint = f"give {job.name} artifacts: {{{one.item.artifact[:60]}: out/**}}"
    else:
        hint = did_you_mean(one.item.artifact, [known.name for known in job.artifacts], "it has")
    report.add(Code.FETCH, one.span, message, hint)
    return False


def _check_order(one: _Asked, number: int, graph: Graph, outer: Outer | None, report: Report) -> None:
    """Report a job that need not have ended, or need not have the artifact, when the asking one begins."""
    asker, job = one.asker.name, one.job
    if one.number is None:
        assert outer is not None
        sure = outer.jobs.index(job) in outer.sure and job.allow_failure is False
    elif one.number == number:
        report.add(Code.NOT_AN_ANCESTOR, one.span, "a job cannot fetch its own artifact", "it has these files already")
        return
    elif not graph.below(one.number, (number,)):
        message = f"`{asker}` fetches from `{job.name}`, but does not depend on it: there may be no artifact yet"
        report.add(Code.NOT_AN_ANCESTOR, one.span, message, f"add {job.name} to `depends_on` of {asker}")
        return
    else:
        sure = bool(graph.surely_after(one.number, (number,)))
    if not (sure or job.several or one.item.optional):
        why = "is allowed to fail" if job.allow_failure is not False else "may be skipped or fail before this job runs"
        hint = f'to go on without it write "{job.name}.{one.item.artifact}{OPTIONAL}"'
        report.add(Code.MAYBE_ABSENT, one.span, f"`{job.name}` {why}: it may have no artifact", hint)


def _check_places(asked: Sequence[_Asked], cells: Mapping[str, Cells], report: Report) -> None:
    """Report files that would be written over others: those of which all paths are known."""
    taken: dict[str, _Asked] = {}
    for one in asked:
        for file in _files(one):
            if one.job.foreach is not None or len(cells.get(one.job.name, ())) >= _SEVERAL:
                message = f"every cell of `{one.job.name}` has a file {file[:60]}, and `fetch` puts them into one place"
                hint = f"let the path tell the cell, such as {_with_cell(one.job, file)}"
                report.add(Code.SAME_PLACE, one.span, message, hint)
            other = taken.setdefault(_place(one.item.to, file), one)
            if other is not one:
                message = (
                    f"`{other.job.name}` and `{one.job.name}` both have a file {file[:60]}, and both are put into one place"
                )
                report.add(Code.SAME_PLACE, one.span, message, "give each a directory of its own")


def _files(one: _Asked) -> Iterator[str]:
    """Yield the paths of an artifact that are constant and name one file."""
    if one.artifact is None:
        return
    for path in one.artifact.path:
        if isinstance(path, str) and _FILE.fullmatch(bare := path.removesuffix(OPTIONAL)):
            yield posixpath.normpath(bare)


def _place(to: Json, file: str) -> str:
    return posixpath.normpath(f"{to}/{file}")


def _with_cell(job: JobSpec, file: str) -> str:
    stem, extension = posixpath.splitext(file)
    name = "index" if job.matrix is None else f"matrix.{next(iter(job.matrix.axes), 'name')}"
    return f"{stem}-${{{{ {name} }}}}{extension}"
