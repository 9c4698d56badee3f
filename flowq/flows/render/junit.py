"""A run as a JUnit report: one test case per job, which every CI system can show.

The form is the one that Jenkins, GitLab, GitHub's actions and Azure agree on: a `testsuites` with one `testsuite`. A job that fails
by its own doing (exit code, exception) is a `failure`; one that something else ended (time, a lost worker, a signal) an `error`;
what was not executed, or may fail, is `skipped` with the reason. Properties name the jobs that took several attempts. Handlers for another end of the run are left out.
"""

from collections.abc import Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from flowq.flows.views.job_output import plain_output
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.text import safe, safe_json, safe_line
from flowq.states import JobStatus, Reason
from flowq.store.schema.documents import iso

_OWN_DOING: Final = frozenset({Reason.ERROR, Reason.INVALID_RESULT})
# The rest of what XML cannot hold is escaped by `safe`.
_NOT_XML: Final = str.maketrans({"\ufffe": "\\ufffe", "\uffff": "\\uffff"})


def junit_xml(run: RunView, output: Mapping[int, str]) -> str:
    """Return the report.

    Args:
        run: the run, usually after its end; jobs that have not ended are shown as skipped.
        output: what jobs printed, by ordinal; those that are there appear in the report.
    """
    jobs = [job for job in run.selected_jobs if not job.is_idle_handler]
    kinds = [_kind(job) for job in jobs]
    counts = _attributes(
        name=run.flow,
        tests=str(len(kinds)),
        failures=str(kinds.count("failure")),
        errors=str(kinds.count("error")),
        skipped=str(kinds.count("skipped")),
        time=_seconds(run.duration),
    )
    stamp = (iso(run.started_ms or run.created_ms) or "").partition(".")[0]  # the schema's time has no fraction and no zone
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites{counts}>",
        f"  <testsuite{counts}{_attributes(timestamp=stamp)}>",
        "    <properties>",
        *(f"      <property{_attributes(name=name, value=value)}/>" for name, value in _properties(run).items()),
        "    </properties>",
    ]
    for job, kind in zip(jobs, kinds, strict=True):
        lines += _case(run, job, kind, output.get(job.ordinal, ""))
    return "\n".join([*lines, "  </testsuite>", "</testsuites>"]) + "\n"


def _properties(run: RunView) -> dict[str, str]:
    found = {"flowq.run": run.id, "flowq.status": str(run.status), "flowq.attempt": str(run.attempt)}
    found |= {
        f"flowq.param.{name}": value if isinstance(value, str) else safe_json(value) for name, value in run.params.items()
    }
    found |= {f"flowq.attempts.{job.name}": str(job.attempts) for job in run.selected_jobs if job.attempts > 1}
    found |= {"flowq.turned_away_by": run.turned_away_by} if run.turned_away_by else {}
    return found | {f"flowq.label.{name}": value for name, value in run.labels.items()}


def _kind(job: JobView) -> str:
    if job.bad:
        return "failure" if job.status is JobStatus.FAILED and job.reason in _OWN_DOING else "error"
    return "passed" if job.status is JobStatus.FINISHED else "skipped"


def _case(run: RunView, job: JobView, kind: str, output: str) -> list[str]:
    place = {"file": job.place.file, "line": str(job.place.line)} if job.place.file else {}
    head = f"    <testcase{_attributes(name=job.name, classname=f'{run.flow}.{job.job}', time=_seconds(job.duration), **place)}"
    inner: list[str] = []
    if kind == "skipped":
        inner.append(f"      <skipped{_attributes(message=_why_skipped(job))}/>")
    elif kind != "passed":
        message = job.error_line or str(job.reason or job.status)
        text = job.error or message
        inner.append(f"      <{kind}{_attributes(message=message, type=str(job.reason or job.status))}>{_text(text)}</{kind}>")
    if output:
        inner.append(f"      <system-out>{_text(plain_output(output))}</system-out>")
    return [f"{head}>", *inner, "    </testcase>"] if inner else [f"{head}/>"]


def _why_skipped(job: JobView) -> str:
    if job.allowed:
        return f"failed, but is allowed to: {job.error_line or job.reason}"
    if job.status is None:
        return job.damaged or "its record has expired"
    return f"{job.status}: {job.reason}" if job.reason and job.reason != str(job.status) else str(job.status)


def _seconds(duration: float | None) -> str:
    return f"{duration or 0:.3f}"


def _attributes(**values: str) -> str:
    return "".join(f" {name}={quoteattr(safe_line(value).translate(_NOT_XML))}" for name, value in values.items())


def _text(text: str) -> str:
    return escape(safe(text).translate(_NOT_XML))
