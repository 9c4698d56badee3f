"""The action of a job: `call`, `run` as a script or an argument vector, `flow`, `approval`, or none (a join point).

The action determines which other keys are legal; a key without effect is refused, not ignored.
"""

import re
import shlex
from typing import Final

from flowq.compiler.binding.fields import refuse_nul
from flowq.compiler.binding.harmless import HarmlessValues
from flowq.compiler.binding.inheritance import MergedJob
from flowq.compiler.binding.spec import FlowHead
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.sites import SiteReader
from flowq.compiler.shell.interpolation import rewrite
from flowq.compiler.shell.shebang import check_shebang
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, texts_of, written
from flowq.compiler.syntax.schema import schema_document
from flowq.compiler.syntax.source import Report
from flowq.plan import Action

_CALLABLE = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<attribute>\w+(?:\.\w+)*)|(?P<path>\w+(?:\.\w+)*)\.(?P<name>\w+)")
_ACTIONS: Final = ("call", "run", "flow", "approval")
_FITS: Final = {"args": "call", "kwargs": "call", "shell": "run", "params": "flow"}
_ANYWHERE: Final = frozenset({"depends_on", "if", "description", "labels", "stage", "extends", *_FITS, *_ACTIONS})
_BESIDE: Final = {  # the keys allowed beside an action without a process
    "flow": _ANYWHERE | {"matrix"},
    "approval": _ANYWHERE | {"matrix", "foreach", "fail_fast", "allow_failure"},
}
_MANY: Final = ("matrix", "foreach")
_OF_CELLS: Final = frozenset({*_MANY, "max_parallel", "fail_fast"})

JOIN: Final = Action("join")
INVALID: Final = Action("invalid")  # for a job with a problem; never part of a plan


def read_action(job: MergedJob, head: FlowHead, reader: SiteReader, report: Report) -> Action:
    """Return the action of a job, or `INVALID` after a reported problem. `bound`: the params of the flow."""
    entries = job.own.entries
    chosen: list[str] = [key for key in _ACTIONS if key in entries]
    if len(chosen) > 1:
        message = f"job `{job.name}` has both `{chosen[0]}` and `{chosen[1]}`; a job does one thing"
        report.add(Code.SEVERAL_ACTIONS, entries[chosen[1]][0].span, message, "make two jobs, one depending on the other")
        return INVALID
    _check_keys(job, chosen, report)
    _check_cells(job, report)
    if not job.is_map:
        return INVALID
    if not chosen:
        return JOIN if _check_join(job, report) else INVALID
    node = entries[chosen[0]][1]
    if chosen[0] == "flow":
        return Action("flow")
    if chosen[0] == "approval":
        return _approval(node, reader)
    if chosen[0] == "call":
        return _call(job, node, reader, report)
    if isinstance(node, ListNode):
        refuse_nul("run", node, report)
        return Action("argv", args=tuple(_word(item, reader) for item in node.items))
    return _script(job, node, head, reader, report)


def effective(job: MergedJob) -> MergedJob:
    """Return a job that executes nothing without those of the flow's defaults that are for jobs that do; others unchanged."""
    if _BESIDE.keys().isdisjoint(job.own.entries):
        return job
    kept = next(_BESIDE[key] for key in _BESIDE if key in job.own.entries)
    if job.whole.entries.keys() <= kept:
        return job
    whole = MapNode(job.whole.start)
    whole.end = job.whole.end
    whole.entries = {key: entry for key, entry in job.whole.entries.items() if key in kept}
    return MergedJob(job.name, job.spelling, job.own, whole, job.is_map)


def _check_keys(job: MergedJob, chosen: list[str], report: Report) -> None:
    if not chosen:
        return
    entries = job.own.entries
    if chosen[0] in _BESIDE:
        for key in entries.keys() - _BESIDE[chosen[0]]:
            if key in schema_document()["$defs"]["job"]["properties"]:
                _no_effect(job, chosen[0], key, report)
    if _FITS.keys().isdisjoint(entries):
        return
    for key, owner in _FITS.items():
        if key not in entries or owner in chosen:
            continue
        hint = _HINTS[key]
        report.add(Code.MISPLACED_KEY, job.own.key_span(key), f"`{key}` belongs to `{owner}`, this job has `{chosen[0]}`", hint)


_HINTS: Final = {
    "args": "for a program and its arguments write run: [program, argument, …]",
    "kwargs": "for a program and its arguments write run: [program, argument, …]",
    "shell": "only a `run` has a shell",
    "params": "give a callable `kwargs`, a script ${{ }}",
}


def _no_effect(job: MergedJob, action: str, key: str, report: Report) -> None:
    span = job.own.key_span(key)
    if action == "flow" and key == "foreach":
        message = (
            "`foreach` together with `flow` is not supported: a flow is built in before the run, when the list is not known yet"
        )
        report.add(
            Code.NOT_YET,
            span,
            message,
            "use a `matrix` where the values are known, else put `foreach` to the jobs of that flow",
        )
    elif action == "flow":
        message = f"`{key}` has no effect on a job that stands for a flow"
        of_all = ", or into its `defaults`" if key in schema_document()["$defs"]["defaults"]["properties"] else ""
        report.add(Code.MISPLACED_KEY, span, message, f"put it to the jobs of that flow{of_all}")
    else:
        hint = "write approval: {message: …, timeout: 1d}" if key == "timeout" else "remove it"
        report.add(Code.MISPLACED_KEY, span, f"`{key}` has no effect on an approval", hint)


def _check_cells(job: MergedJob, report: Report) -> None:
    """Report keys about cells in a job without cells."""
    own = job.own.entries
    if _OF_CELLS.isdisjoint(job.whole.entries):
        return
    if all(key in job.whole.entries for key in _MANY):
        message = "a job has either `matrix` or `foreach`"
        report.add(
            Code.MISPLACED_KEY, job.whole.key_span("foreach"), message, "make a list of the combinations and use foreach"
        )
    for key in ("max_parallel", "fail_fast"):
        if key in own and not any(many in job.whole.entries for many in _MANY):
            message = f"`{key}` of a job needs `matrix` or `foreach`"
            hint = (
                "for the whole flow write fail_fast at its top"
                if key == "fail_fast"
                else "to limit single jobs use `concurrency`"
            )
            report.add(Code.MISPLACED_KEY, job.own.key_span(key), message, hint)


def _approval(node: YamlNode, reader: SiteReader) -> Action:
    message = node.get("message") if isinstance(node, MapNode) else node
    return Action("approval", message=reader.value(message) if isinstance(message, ScalarNode) else None)


def _check_join(job: MergedJob, report: Report) -> bool:
    """Return whether a job without an action is a join point."""
    if "depends_on" in job.own.entries and not job.own.entries.keys() & _FITS.keys():
        return True
    if _has_unknown_key(job):
        return False  # an unknown key, probably a misspelt action, is reported already
    message = f"job `{job.name}` does nothing: it needs `call`, `run`, `flow` or `approval`"
    report.add(Code.NO_ACTION, job.spelling.span, message, "without them a job is a join point, which needs `depends_on`")
    return False


def _has_unknown_key(job: MergedJob) -> bool:
    return not job.own.entries.keys() <= schema_document()["$defs"]["job"]["properties"].keys()


def _call(job: MergedJob, node: YamlNode, reader: SiteReader, report: Report) -> Action:
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return INVALID
    match = _CALLABLE.fullmatch(node.value)
    names = re.split(r"[.:]", node.value)
    if match is None or not all(name.isidentifier() for name in names):
        hint = "an expression cannot choose what is called" if "${{" in node.value else "write package.module:function"
        report.add(
            Code.CALLABLE, node.span, f"expected a callable such as package.module:function, found {node.value[:60]!r}", hint
        )
        return INVALID
    args, kwargs = job.whole.get("args"), job.whole.get("kwargs")
    return Action(
        "call",
        module=match["module"] or match["path"],
        attribute=match["attribute"] or match["name"],
        args=tuple(reader.value(item) for item in args.items) if isinstance(args, ListNode) else (),
        kwargs={key: reader.value(item) for key, (_, item) in kwargs.entries.items()} if isinstance(kwargs, MapNode) else {},
    )


def _word(node: YamlNode, reader: SiteReader) -> Json:
    if not isinstance(node, ScalarNode):
        return ""
    return reader.value(node) if isinstance(node.value, str) else written(node)


def _script(job: MergedJob, node: YamlNode, head: FlowHead, reader: SiteReader, report: Report) -> Action:
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return INVALID
    shell = _shell(job.whole.get("shell"), report)
    check_shebang(node.value, node.span, shell, report)
    harmless = HarmlessValues(head.bound, job.whole.get("matrix"), job.whole.get("env"), head.env_node)
    before = report.errors
    script, variables = rewrite(node, shell, harmless, reader, report)
    if report.errors == before:  # else it is said already, of the first value behind the NUL
        refuse_nul("run", node, report)
    return Action("shell", script=script, variables=variables, shell=shell)


def _shell(node: YamlNode | None, report: Report) -> tuple[str, ...]:
    if node is None or isinstance(node, MapNode):
        return ()
    refuse_nul("shell", node, report)
    texts = texts_of(node)
    for text in texts:
        if "${{" in text:
            report.add(Code.UNKNOWN_SHELL, node.span, "an expression cannot choose the shell", "write its name")
            return ()
    if isinstance(node, ListNode):
        return tuple(texts)
    try:
        return tuple(shlex.split(texts[0])) if texts else ()
    except ValueError as error:
        report.add(Code.WRONG_VALUE, node.span, f"shell: {str(error).lower()}", "close the quote, or write a list of words")
        return ()
