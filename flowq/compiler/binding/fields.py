"""Readers of single fields of a job or a flow: durations, strings, environments, retry policies.

Each function takes the node of one key and returns its typed value. A value of the wrong type was reported by the shape check; it
counts as absent here, so that one mistake gives one diagnostic.
"""

import re
from collections.abc import Callable
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.diagnostics.suggestions import close_match, did_you_mean
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope, has_holes
from flowq.compiler.expressions.sites import ExpressionSite, SiteReader
from flowq.compiler.shell.variables import protected
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, text_of, written
from flowq.compiler.syntax.source import Report
from flowq.durations import parse_duration
from flowq.exceptions import UsageError
from flowq.expr import Expression, to_text
from flowq.plan import Concurrency, RetryPolicy
from flowq.plan.resources import KINDS, parse_resource
from flowq.slots.timezones import named

MAX_WAIT: Final = 365 * 86_400.0  # s; backoff stops growing here

RETRIED: Final = ("failure", "timeout", "abandoned")

_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*|[A-Z_]\w*")  # a dotted name, or a class name with a capital letter
_LOCAL = frozenset({"local", "localtime"})  # zones that are others on another machine


def duration(node: YamlNode | None, scope: StaticScope, report: Report, *, never: bool, positive: bool = False) -> float | None:
    """Return seconds, `NEVER`, or None if no (valid) value is given."""
    if not isinstance(node, ScalarNode) or node.value is None or isinstance(node.value, bool):
        return None
    value = scope.evaluate(node, report) if has_holes(node) else node.value
    return None if value is UNKNOWN else seconds_of(value, node, report, never=never, positive=positive)


def seconds_of(
    value: Json, node: YamlNode, report: Report, *, never: bool, positive: bool = False, whose: str = ""
) -> float | None:
    """Return the seconds of a duration, `NEVER`, or None after a problem. `whose`: as " for job[n=1]", for the message."""
    try:
        seconds = parse_duration(value, never=never)
    except UsageError as error:
        report.add(Code.DURATION, node.span, f"{error}{whose}", "" if never else _never_help(value))
        return None
    if positive and seconds == 0:
        report.add(Code.DURATION, node.span, f"a duration of 0{whose} leaves no time at all", "write `never` for no limit")
        return None
    return seconds


def _never_help(value: Json) -> str:
    return "leave the key out for no wait" if value in (-1, "-1", "never") else ""


def refuse_nul(name: str, node: YamlNode | None, report: Report) -> None:
    """Report NUL characters in texts of a key that the system takes, a text or a list of them: it takes none."""
    for text in node.items if isinstance(node, ListNode) else (node,):
        if isinstance(text, ScalarNode) and isinstance(text.value, str) and "\0" in text.value:
            hint = r"in double quotes \0 is one: use single quotes or a block, or write \\0"
            report.add(Code.WRONG_VALUE, text.span, f"{name} cannot have NUL characters", hint)


def static_text(node: YamlNode | None, scope: StaticScope, report: Report) -> str:
    """Return a string that is known before the run; "" if none is given."""
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
        return ""
    if not has_holes(node):
        return node.value
    value = scope.evaluate(node, report)
    return "" if value is UNKNOWN else to_text(value)


def timezone(node: YamlNode | None, report: Report) -> str:
    """Return the name of a time zone; "" if no valid one is given."""
    if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value or _is_zone(node.value):
        return text_of(node)
    from zoneinfo import available_timezones  # not imported for flows without a mistake here

    near = close_match(node.value, sorted(available_timezones() - _LOCAL))
    hint = f"did you mean {near}?" if near else "write the name of a zone such as Europe/Berlin"
    if has_holes(node):
        hint = "the zone is known before params and expressions are: write its name"
    report.add(Code.WRONG_VALUE, node.span, f"timezone: there is no time zone {node.value[:60]!r}", hint)
    return ""


def _is_zone(name: str) -> bool:
    try:
        return name not in _LOCAL and named(name) is not None
    except UsageError:
        return False


def integer(node: YamlNode | None, default: int) -> int:
    """Return a whole number."""
    value = _whole(node)
    return default if value is None else value


def at_least_one(node: YamlNode | None) -> int | None:
    """Return a whole number from 1 on; None if no (valid) one is given."""
    value = _whole(node)
    return value if value is not None and value >= 1 else None


def _whole(node: YamlNode | None) -> int | None:
    """Return the whole number of a node, or None. As in JSON Schema, 3.0 is one."""
    value = node.value if isinstance(node, ScalarNode) else None
    return int(value) if type(value) is int or (type(value) is float and value.is_integer()) else None


def labels(node: YamlNode | None, scope: StaticScope, report: Report) -> dict[str, str]:
    """Return labels as strings."""
    if not isinstance(node, MapNode):
        return {}
    found = {}
    for name, (_, value) in node.entries.items():
        if isinstance(value, ScalarNode) and value.value is not None:
            found[name] = static_text(value, scope, report) if isinstance(value.value, str) else written(value)
    return found


def flag(node: YamlNode | None) -> bool:
    """Return whether a key is true."""
    return isinstance(node, ScalarNode) and node.value is True


def concurrency(node: YamlNode | None, group: Json, conflict: str = "queue") -> Concurrency | None:
    """Return the limit of a group whose name was read already, or None."""
    if not isinstance(node, MapNode) or not group:
        return None
    return Concurrency(group, max(integer(node.get("max"), 1), 1), conflict)


def run_concurrency(node: YamlNode | None, scope: StaticScope, report: Report) -> Concurrency | None:
    """Return the limit on the runs of a group. The group's name is known before the run."""
    if not isinstance(node, MapNode):
        return None
    conflict = node.get("on_conflict")
    known = isinstance(conflict, ScalarNode) and conflict.value in ("queue", "skip", "cancel_running", "fail")
    value = conflict.value if isinstance(conflict, ScalarNode) and known else "queue"
    return concurrency(node, static_text(node.get("group"), scope, report), value)


def environment(
    node: YamlNode | None, reader: SiteReader, harmless: Callable[[Expression], bool], report: Report
) -> tuple[dict[str, Json], list[ExpressionSite]]:
    """Return environment variables as templated strings, and their expressions.

    Args:
        node: the map.
        reader: collects the expressions.
        harmless: tells of an expression whether all its values are numbers, booleans or constants of the file: others cannot change
            how programs load.
        report: gets the problems.
    """
    if not isinstance(node, MapNode):
        return {}, []
    found: dict[str, Json] = {}
    for name, (spelling, value) in node.entries.items():
        if name.startswith("FLOWQ_"):
            message = f"{name[:60]} is set by flowq itself: FLOWQ_… names are reserved"
            report.add(Code.ENV_NAME, spelling.span, message, "choose another name")
        if not isinstance(value, ScalarNode):
            continue
        if isinstance(value.value, str) and "\0" in value.value:
            report.add(Code.WRONG_VALUE, value.span, f"{name[:60]}: a variable cannot have NUL characters", "remove it")
        before = len(reader.sites)
        found[name] = _text(value, reader)
        if protected(name) and not all(harmless(site.expression) for site in reader.sites[before:]):
            message = f"{name[:60]} changes how programs load: its value cannot come from outside the file"
            hint = "write it as a constant; numbers, booleans, enums and constants of the file may stand in it"
            report.add(Code.PROTECTED_ENV, value.span, message, hint)
    return found, reader.sites


def resources(node: YamlNode | None, reader: SiteReader, report: Report) -> dict[str, Json]:
    """Return what a job asks for, by name: amounts in their units, or templates where the value has expressions."""
    if not isinstance(node, MapNode):
        return {}
    found: dict[str, Json] = {}
    for name, (_, value) in node.entries.items():
        if name not in KINDS or not isinstance(value, ScalarNode) or value.value is None:
            continue
        if has_holes(value):
            found[name] = reader.value(value)
            continue
        try:
            found[name] = parse_resource(name, value.value)
        except UsageError as error:
            report.add(Code.DURATION if name == "time" else Code.WRONG_VALUE, value.span, f"resources.{name}: {error}", "")
    return found


def _text(value: ScalarNode, reader: SiteReader) -> Json:
    if value.value is None:
        return ""
    return reader.value(value) if isinstance(value.value, str) else written(value)


def truth(value: Json, node: YamlNode, report: Report, whose: str = "") -> bool:
    """Return a value of an expression that is true or false. `whose`: as of `seconds_of`."""
    if not isinstance(value, bool):
        report.add(Code.WRONG_TYPE, node.span, f"expected true or false{whose}, found {to_text(value)[:60]!r}")
    return value is True


def allow_failure(node: YamlNode | None, scope: StaticScope, report: Report) -> bool | tuple[int, ...]:
    """Return whether any failure is allowed, or the allowed exit codes."""
    if isinstance(node, ScalarNode) and has_holes(node):
        value = scope.evaluate(node, report)
        return False if value is UNKNOWN else truth(value, node, report)
    if isinstance(node, ScalarNode):
        return node.value is True
    codes = node.get("exit_codes") if isinstance(node, MapNode) else None
    items = codes.items if isinstance(codes, ListNode) else [codes]
    found = [code for code in map(_whole, items) if code is not None]
    return tuple(dict.fromkeys(found)) or False


def retry(node: YamlNode | None, scope: StaticScope, report: Report) -> RetryPolicy | None:
    """Return the retry policy with backoff applied to the intervals; None for no retries."""
    if isinstance(node, ScalarNode):
        count = integer(node, 0)
        return RetryPolicy(count) if count > 0 else None
    if not isinstance(node, MapNode):
        return None
    count = integer(node.get("max"), -1)
    if count < 0:
        if "max" not in node.entries:
            report.add(Code.RETRY, _place(node), "`retry` needs `max`, how many retries there are", "add `max: 3`")
        return None
    intervals = _intervals(node, count, scope, report)
    jitter = _number(node.get("jitter"), 0.0)
    filters = _filters(node.get("on"), report)
    return RetryPolicy(count, intervals, jitter, filters) if count else None


def _filters(node: YamlNode | None, report: Report) -> tuple[str, ...]:
    """Return the causes to retry, in the form of `RetryPolicy.on`."""
    found: dict[str, None] = {}
    for item in node.items if isinstance(node, ListNode) else [node]:
        code = _whole(item)
        if code is not None:
            found[f"exit:{code}"] = None
        elif not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue
        elif item.value in RETRIED or _EXCEPTION.fullmatch(item.value):
            found[item.value] = None
        else:
            message = f"{item.value[:60]!r} is not a cause for a retry"
            hint = did_you_mean(item.value, RETRIED) + "; an exit code is a number, an exception a name such as ConnectionError"
            report.add(Code.RETRY, item.span, message, hint)
    return tuple(found)


def _place(node: MapNode) -> Span:
    for spelling, _ in node.entries.values():
        return spelling.span
    return node.span


def _intervals(node: MapNode, count: int, scope: StaticScope, report: Report) -> tuple[float, ...]:
    interval = node.get("interval")
    longest = duration(node.get("max_interval"), scope, report, never=False)
    factor = _number(node.get("backoff"), 1.0)
    if isinstance(interval, ListNode):
        if "backoff" in node.entries:
            message = "`backoff` works on one interval, this is a list"
            report.add(Code.RETRY, node.key_span("backoff"), message, "remove `backoff`, or give the first interval only")
        listed = [duration(item, scope, report, never=False) or 0.0 for item in interval.items]
        return tuple(min(item, longest) if longest is not None else item for item in listed) or (0.0,)
    first = duration(interval, scope, report, never=False)
    if first is None:
        for key in ("backoff", "max_interval"):
            if key in node.entries and interval is None:
                report.add(Code.RETRY, node.key_span(key), f"`{key}` needs `interval`, the first wait", "add `interval: 5s`")
        return (0.0,)
    return _grown(first, factor, MAX_WAIT if longest is None else longest, count)


def _grown(first: float, factor: float, longest: float, count: int) -> tuple[float, ...]:
    """Return first, first*factor, … up to `longest`; the policy repeats the last value."""
    waits = [min(first, longest)]
    while len(waits) < count and waits[-1] < longest and factor > 1 and first > 0:
        waits.append(min(waits[-1] * factor, longest))
    return tuple(round(wait, 3) for wait in waits)


def _number(node: YamlNode | None, default: float) -> float:
    if isinstance(node, ScalarNode) and isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
        return float(node.value)
    return default
