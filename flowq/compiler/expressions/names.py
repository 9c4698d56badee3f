"""The names in an expression: reports of unknown names and of known names in the wrong place, with fixes."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import close_match, did_you_mean, listing
from flowq.compiler.expressions.fallbacks import fallback_help
from flowq.compiler.expressions.sites import HANDLER_RUN, RUNTIME_RUN, SCHEDULED_RUN, Context, ExpressionSite
from flowq.compiler.syntax.source import Report
from flowq.expr import Reference

ROOTS: Final = ("params", "env", "run", "jobs", "matrix", "item", "index", "job", "event")

_FOREIGN: Final = {
    "needs": "jobs.<name>.result",
    "steps": "jobs.<name>.result",
    "tasks": "jobs.<name>.result",
    "inputs": "params.<name>",
    "parameters": "params.<name>",
    "vars": "params.<name> or env.<name>",
    "github": "run.id, run.name, run.date",
    "date": "run.date",
    "result": "jobs.<name>.result",
    **dict.fromkeys(("yes", "on"), "true"),
    **dict.fromkeys(("no", "off"), "false"),
}


@dataclass(frozen=True, slots=True)
class Known:
    """The names that exist at a site."""

    params: Collection[str]
    later: tuple[str, ...] = ()  # the param whose default this is, and those declared after it
    env: Collection[str] = ()
    jobs: Collection[str] = ()
    matrix: Mapping[str, bool] = field(default_factory=dict)  # axis -> every cell has it
    is_matrix: bool = False
    is_foreach: bool = False
    is_handler: bool = False
    job: str = ""  # whose site it is, for messages: a template has the sites of several
    shared: Callable[[ExpressionSite], Collection[str]] = (
        lambda _: ()
    )  # the matrix values of all jobs that have the site from one template

    @property
    def run_keys(self) -> tuple[str, ...]:
        """The keys of `run` that not every job has."""
        return HANDLER_RUN if self.is_handler else ()


def check_names(site: ExpressionSite, known: Known, report: Report) -> bool:
    """Report the names of an expression that do not exist or cannot be used in its context; return whether all are valid.

    Names of jobs are only checked for existence; `analysis.expressions` checks whether they are ancestors.
    """
    before = report.errors
    if report.full:
        return False
    for reference in site.expression.references():
        problem = _problem(reference, site, known)
        if problem is not None:
            code, message, hint = problem
            report.add(code, site.span(report, reference.start, reference.end), message, hint)
    return report.errors == before


def _problem(reference: Reference, site: ExpressionSite, known: Known) -> tuple[Code, str, str] | None:
    root, *rest = reference.path
    if root not in site.place.roots:
        return _secret_problem(rest, site.place) if root == "secrets" else _root_problem(str(root), site.place, known)
    if root == "matrix" and not known.is_matrix:
        who = f"`{known.job}`" if site.place.of_cells else "this job"
        return Code.NAME_NOT_HERE, f"{who} has no matrix", "add `matrix:` to the job, or use params"
    if root in ("item", "index") and not known.is_foreach:
        return Code.NAME_NOT_HERE, f"`{root}` is known in a job with `foreach`", "add `foreach:` to the job"
    if not rest or root in ("item", "index", "event"):  # the parts of these have types
        return None
    key = str(rest[0])
    match root:
        case "params" if key in known.later:
            if key == known.later[0]:
                return Code.NAME_NOT_HERE, f"the default of `{key[:60]}` cannot use itself", "give it another value"
            message = f"the param `{key[:60]}` is declared below, a default may use those above it"
            return Code.NAME_NOT_HERE, message, f"move {key[:60]} up"
        case "params":
            return _member("param", key, known.params, "declare it under `params:`")
        case "env":
            hint = "only variables of the flow's and the job's `env` can be read"
            return _member("environment variable", key, known.env, hint)
        case "matrix":
            return _axis(reference, key, site, known)
        case "run":
            return _run(reference, key, site, known)
        case "job":
            return _member("part of job", key, ("name", "attempt"), "")
        case _:
            return _job(rest, known)


def _secret_problem(rest: list[str | int], place: Context) -> tuple[Code, str, str]:
    message = "secrets are not values of expressions: they only reach the environment of a job"
    name = str(rest[0])[:60] if rest else "NAME"
    job = "the job" if place in (Context.JOB, Context.JOB_ENV) else "the job that needs it"
    return (
        Code.NAME_NOT_HERE,
        message,
        f"give {job} secrets: [{name}] and read \"${name}\" in its script, os.environ['{name}'] in Python",
    )


def _root_problem(root: str, place: Context, known: Known) -> tuple[Code, str, str]:
    if root == "event":
        hint = "give it to a param: triggers: {NAME: {params: {x: ${{ event.… }}}}}"
        return Code.NAME_NOT_HERE, f"`event` cannot be used {place.value}: triggers alone know it", hint
    if root in ROOTS:
        hint = f"known here are {', '.join(place.roots)}"
        if root == "matrix" and place is Context.STATIC:
            hint += "; all cells of a job have the same value here: for several, write several jobs that extend one template"
        if root in ("item", "index") and place is Context.QUEUE:
            hint += "; the list of a `foreach` is known in the run only, so its jobs wait in one queue: those of a `matrix` may have several"
        return Code.NAME_NOT_HERE, f"`{root}` cannot be used {place.value}", hint
    if root in _FOREIGN:
        return Code.UNKNOWN_NAME, f"unknown name `{root}`", f"did you mean {_FOREIGN[root]}?"
    if root in known.params:
        return Code.UNKNOWN_NAME, f"unknown name `{root}`", f"did you mean params.{root}?"
    if root in known.matrix:
        return Code.UNKNOWN_NAME, f"unknown name `{root}`", f"did you mean matrix.{root}?"
    if root in known.jobs:
        return Code.UNKNOWN_NAME, f"unknown name `{root}`", f"did you mean jobs.{root}.result?"
    return (
        Code.UNKNOWN_NAME,
        f"unknown name `{root[:60]}`",
        did_you_mean(root, place.roots, "known here are") + _text_hint(root, place),
    )


_RESULTS: Final = frozenset({"output", "outputs", "value", "return_value"})
"""The words of other systems for the result of a job."""


def _text_hint(root: str, place: Context) -> str:
    return "" if close_match(root, place.roots) else f"; a string is written '{root[:40]}'"


def _member(what: str, key: str, known: Collection[str], otherwise: str) -> tuple[Code, str, str] | None:
    return None if key in known else _no_member(what, key, known, otherwise)


def _no_member(what: str, key: str, known: Collection[str], otherwise: str) -> tuple[Code, str, str]:
    close = close_match(key, known)
    there = f"known are {listing(known)}" if known else "there are none"
    hint = f"did you mean {close}?" if close else "; ".join(part for part in (there, otherwise) if part)
    return Code.UNKNOWN_NAME, f"there is no {what} `{key[:60]}`", hint


_FALLBACKS: Final = {Context.QUEUE: "'default'", Context.TIMEOUT: "'never'", Context.ALLOW_FAILURE: "false"}


def _axis(reference: Reference, key: str, site: ExpressionSite, known: Known) -> tuple[Code, str, str] | None:
    if key not in known.matrix:
        if reference.guarded and key in known.shared(site):
            return None
        code, message, hint = _no_member("matrix value", key, known.matrix, "")
        return code, f"the matrix of {known.job} has no `{key[:60]}`" if known.job else message, hint
    if not known.matrix[key] and not reference.guarded:
        where = f" of {known.job}" if site.place.of_cells else ""
        hint = fallback_help(site, reference, _FALLBACKS.get(site.place, ""), "''")
        return Code.MAYBE_ABSENT, f"not every cell of the matrix{where} has `{key}`", hint
    return None


def _run(reference: Reference, key: str, site: ExpressionSite, known: Known) -> tuple[Code, str, str] | None:
    place = site.place
    if place is Context.NOTICE:
        return _member("part of run", key, place.run_keys, "")
    if key in SCHEDULED_RUN and place is not Context.SCHEDULE and not reference.guarded:
        return Code.MAYBE_ABSENT, f"only a run of a schedule has `run.{key}`", fallback_help(site, reference, otherwise="''")
    if key in place.run_keys or key in known.run_keys:
        return None
    if key in RUNTIME_RUN:
        return (
            Code.NAME_NOT_HERE,
            f"`run.{key}` is not known before the run",
            f"known here are run.{', run.'.join(place.run_keys)}",
        )
    if key in HANDLER_RUN:
        hint = "use it in a job of on_success, on_failure, on_cancel or on_exit"
        return Code.NAME_NOT_HERE, f"`run.{key}` is known when the graph has ended, in handlers", hint
    return _member("part of run", key, (*place.run_keys, *known.run_keys), "")


def _job(rest: list[str | int], known: Known) -> tuple[Code, str, str] | None:
    name = str(rest[0])
    if name not in known.jobs:
        dotted = next((job for job in known.jobs if "." in job and job == ".".join(map(str, rest[: job.count(".") + 1]))), None)
        hint = f"a name with a dot is written jobs['{dotted}']" if dotted else did_you_mean(name, known.jobs, "the jobs are")
        return Code.UNKNOWN_JOB_NAME, f"there is no job `{name[:60]}`", hint
    if len(rest) > 1 and rest[1] not in ("result", "status", "artifacts"):
        hint = "known are result, status, artifacts"
        if rest[1] in _RESULTS:
            meant = ".".join(["jobs", name, "result", *map(str, rest[2:])])
            hint = f"did you mean {meant[:80]}? What a script writes to $FLOWQ_OUTPUT is its job's result"
        return Code.UNKNOWN_NAME, f"there is no `{str(rest[1])[:60]}` of a job", hint
    return None
