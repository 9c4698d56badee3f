"""A tree to a `FlowSpec`: the head of a flow, the jobs of its graph, and its handlers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.dotenv import read_dotenv
from flowq.compiler.binding.harmless import HarmlessValues
from flowq.compiler.binding.inheritance import MergedJob, merge_jobs
from flowq.compiler.binding.job import read_job, time_limit
from flowq.compiler.binding.secrets import declare_secrets
from flowq.compiler.binding.shipment import read_shipment
from flowq.compiler.binding.spec import FlowHead, FlowSpec, JobSpec
from flowq.compiler.binding.stages import with_stages
from flowq.compiler.binding.starts.notices import read_notices
from flowq.compiler.binding.starts.schedules import OfEntry, given_by, read_schedules, run_of
from flowq.compiler.binding.starts.triggers import Declarations, read_triggers
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.params.params import Bound, Given, bind_params, declare_params
from flowq.compiler.syntax.files import Beside, Files, flow_name
from flowq.compiler.syntax.nodes import Json, MapNode, ScalarNode
from flowq.compiler.syntax.source import Report
from flowq.plan.notice import Notice
from flowq.plan.schedule import Scheduled
from flowq.slots.timezones import date_in

PHASES: Final = {"on_success": "success", "on_failure": "failure", "on_cancel": "cancel", "on_exit": "exit"}
"""The sections of handlers, with their phases in the plan."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment of a flow's compilation: values for its params, facts about the run, and the files beside it.

    `run` has the `name` of the run if the flow is a sub-flow, and the `date` if known. `modules` are the folders searched for modules
    before the installed ones; empty: callables are not checked. `time` is that of the run, from which the date follows in the zone of
    the flow that is run; `timezone` is the name of that zone. `python` is the interpreter that it names for its calls. `scheduled` is the
    slot that the run is for. `notify` are the messages of the project. `alone`: it is not a sub-flow.
    """

    given: Given
    run: Mapping[str, Json]
    place: Beside
    files: Files
    modules: tuple[str, ...] = ()
    time: datetime | None = None
    timezone: str = ""
    python: str = ""
    scheduled: Scheduled | None = None
    notify: tuple[Notice, ...] = ()
    alone: bool = False


def of_run(root: MapNode, around: Surroundings, report: Report) -> Surroundings:
    """Return the surroundings of the flow that is run, with its interpreter, its time zone and the date in it."""
    zone = fields.timezone(root.get("timezone"), report)
    date = {} if around.time is None else {"date": date_in(around.time.timestamp() * 1000, zone)}
    run = {**date, **around.run}
    return replace(around, run=run, time=None, timezone=zone, python=_interpreter(root, around), alone=True)


def _interpreter(root: MapNode, around: Surroundings) -> str:
    """Return the path that `python` names: relative to the flow file, a home directory is that of the worker's user."""
    node = root.get("python")
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value:
        return around.python
    return node.value if node.value.startswith("~") else around.place.absolute(node.value)


def read_flow(root: MapNode, around: Surroundings, report: Report) -> FlowSpec:
    """Return the flow of a tree, with its params bound.

    Args:
        root: the tree; errors of its shape are reported already, and wrong parts count as absent.
        around: the environment of the compilation.
        report: gets the problems.
    """
    head = _head(root, around, report)
    merged = merge_jobs(root, ("jobs", *PHASES), report)
    jobs = tuple(read_job(job, head, report) for job in merged["jobs"])
    handlers = {section: tuple(_read_handler(job, head, report) for job in merged[section]) for section in PHASES}
    found = {section: specs for section, specs in handlers.items() if specs}
    return FlowSpec(head, with_stages(root, jobs, report), found)


def _head(root: MapNode, around: Surroundings, report: Report) -> FlowHead:
    name_node = root.get("name")
    name = (
        name_node.value
        if isinstance(name_node, ScalarNode) and isinstance(name_node.value, str)
        else flow_name(report.source.name)
    )
    specs = declare_params(root, report)
    run, entry = _of_slot(root, name, around, report)
    bound = bind_params(specs, entry.given, {"name": name, **run}, root, report)
    scope = bound.scope
    own = root.get("env")
    env, sites = fields.environment(own, SiteReader(report, Context.FLOW_ENV), HarmlessValues(bound, None, own), report)
    outputs = SiteReader(report, Context.OUTPUTS)
    output_node = root.get("outputs")
    entries = output_node.entries if isinstance(output_node, MapNode) else {}
    env = {**read_dotenv(root.get("dotenv"), around.place, scope, around.files, report), **env}
    schedules = read_schedules(root, specs, name, around.timezone, report) if around.alone else ()
    triggers = Declarations(around.place, name, specs, schedules)
    return FlowHead(
        name=name,
        bound=bound,
        description=fields.static_text(root.get("description"), scope, report),
        labels={**fields.labels(root.get("labels"), scope, report), **entry.labels},
        env=env,
        env_sites=tuple(sites),
        env_node=own,
        secrets=declare_secrets(root, around.place, env, scope, report),
        retention=fields.duration(root.get("retention"), scope, report, never=True),
        keep=fields.at_least_one(root.get("keep")),
        keep_of_entry=entry.keep,
        timezone=around.timezone,
        timeout=time_limit(root, scope, report, None),
        fail_fast=fields.flag(root.get("fail_fast")),
        concurrency=fields.run_concurrency(root.get("concurrency"), scope, report),
        schedules=schedules,
        triggers=read_triggers(root, triggers, report) if around.alone else (),
        notify=_notices(root, around, bound, report) if around.alone else (),
        shipment=read_shipment(root, around.place, around.files.root, report) if around.alone else None,
        outputs={key: outputs.value(value) for key, (_, value) in entries.items()},
        output_sites=tuple(outputs.sites),
    )


def _notices(root: MapNode, around: Surroundings, bound: Bound, report: Report) -> tuple[Notice, ...]:
    """Return the messages of a flow, and those of its project that it does not have itself."""
    own = read_notices(root.get("notify"), around.place, bound, report)
    return (*own, *(notice for notice in around.notify if notice not in own))


def _of_slot(root: MapNode, name: str, around: Surroundings, report: Report) -> tuple[Mapping[str, Json], OfEntry]:
    """Return the facts about the run, and what the entry of the slot that it is for says, if it is for one."""
    if around.scheduled is None:
        return around.run, OfEntry(around.given)
    run = {**around.run, **run_of(around.scheduled, name)}
    if not around.scheduled.entry:
        return run, OfEntry(around.given)
    return run, given_by(root, around.scheduled.entry, around.given, run, report)


def _read_handler(job: MergedJob, head: FlowHead, report: Report) -> JobSpec:
    """Read a handler: a job that is not part of the graph."""
    for key in ("stage", "flow", "approval"):
        if key in job.own.entries:
            what = "has no stage" if key == "stage" else f"cannot be a job with `{key}`"
            hint = "a handler starts when the graph has ended; use `call` or `run`"
            report.add(Code.MISPLACED_KEY, job.own.key_span(key), f"a handler {what}", hint)
    return read_job(job, head, report)
