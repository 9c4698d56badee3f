"""`stages`: the implicit dependencies between the jobs of one stage and the next.

A job with `stage` and without `depends_on` waits for every job of the nearest earlier stage that has jobs. With one edge per pair, two
stages of n and m jobs would have n x m edges. So a stage that other jobs wait for becomes a job here, `stage:build`, between its jobs
and their dependents; in the plan it is a hidden group.
"""

from dataclasses import replace

from flowq.compiler.binding.spec import DependencySpec, JobSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode
from flowq.compiler.syntax.source import Report
from flowq.plan import STAGE, Action


def with_stages(root: MapNode, jobs: tuple[JobSpec, ...], report: Report) -> tuple[JobSpec, ...]:
    """Return the jobs with the dependencies that their stages imply, and the stages that other jobs wait for."""
    order = _order(root, report)
    members: dict[str, list[JobSpec]] = {name: [] for name in order}
    for job in jobs:
        if job.stage in members:
            members[job.stage].append(job)
        elif job.stage:
            _report_unknown(job, order, report)
    waited: dict[str, JobSpec] = {}
    found = []
    before = _nearest(order, members)
    for written in jobs:
        job = _without_stages(written, report)
        earlier = before.get(job.stage)
        if earlier is None or "depends_on" in job.tree.entries:
            found.append(job)
            continue
        if earlier not in waited:
            waited[earlier] = _stage(earlier, members[earlier])
        found.append(replace(job, depends_on=(DependencySpec(STAGE + earlier, "success", _place(job)),)))
    return (*found, *waited.values())


def _without_stages(job: JobSpec, report: Report) -> JobSpec:
    """Refuse `depends_on: stage:build`: such names exist in the plan, but not in the language."""
    kept = tuple(item for item in job.depends_on if not item.job.startswith(STAGE))
    if len(kept) == len(job.depends_on):
        return job
    span = next(item.span for item in job.depends_on if item.job.startswith(STAGE))
    message = f"`{job.name}` depends on a stage: a dependency is a job"
    report.add(Code.UNKNOWN_JOB, span, message, "give the job a later `stage` and no `depends_on`")
    return replace(job, depends_on=kept)


def _order(root: MapNode, report: Report) -> list[str]:
    node = root.get("stages")
    order: list[str] = []
    for item in node.items if isinstance(node, ListNode) else ():
        if isinstance(item, ScalarNode) and isinstance(item.value, str):
            if item.value in order:
                report.add(Code.STAGE, item.span, f"duplicate stage `{item.value[:60]}`", "remove one")
                continue
            order.append(item.value)
    return order


def _report_unknown(job: JobSpec, order: list[str], report: Report) -> None:
    hint = did_you_mean(job.stage, order, "the stages are") if order else "declare it: `stages: [build, test]` at the top"
    place = job.tree.entries["stage"][1].span
    report.add(Code.STAGE, place, f"`{job.stage[:60]}` is not a stage of this flow", hint)


def _nearest(order: list[str], members: dict[str, list[JobSpec]]) -> dict[str, str]:
    """Return for each stage the nearest earlier one with jobs, if there is one."""
    before: dict[str, str] = {}
    last = None
    for name in order:
        if last is not None:
            before[name] = last
        if members[name]:
            last = name
    return before


def _stage(name: str, members: list[JobSpec]) -> JobSpec:
    first = members[0]
    return JobSpec(
        name=STAGE + name,
        span=_place(first).span,
        tree=MapNode(first.tree.start),
        action=Action("stage"),
        queue=first.queue,
        timeout=None,
        depends_on=tuple(DependencySpec(job.name, "success", _place(job), plain=True) for job in members),
    )


def _place(job: JobSpec) -> ScalarNode | JobSpec:
    """Return the node that states a job's stage, or the job."""
    node = job.tree.get("stage")
    return node if isinstance(node, ScalarNode) else job
