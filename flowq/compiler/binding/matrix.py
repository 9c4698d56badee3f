"""The reader of `matrix`: axes, `include` and `exclude`; all values are known before the run."""

import json

from flowq.compiler.binding.spec import CellRule, MatrixSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope, has_holes
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode
from flowq.compiler.syntax.source import Report


def read_matrix(node: YamlNode | None, job: MapNode, scope: StaticScope, report: Report) -> MatrixSpec | None:
    """Return the matrix of a job, or None."""
    if not isinstance(node, MapNode):
        return None
    axes: dict[str, tuple[Json, ...]] = {}
    complete = True
    for name, (spelling, value) in node.entries.items():
        if name not in ("include", "exclude"):
            found = _axis(spelling, value, scope, report)
            complete = complete and found is not None
            axes[name] = found or ()
    exclude = _rules(node.get("exclude"), scope, report)
    for rule, item in zip(exclude, _items(node.get("exclude")), strict=True):
        assert isinstance(item, MapNode)
        for name in rule.values:
            if name not in axes:
                message = f"`exclude` names the axis `{name[:60]}`, which the matrix does not have"
                report.add(Code.MATRIX, item.key_span(name), message, did_you_mean(name, axes, "the axes are"))
    include = _rules(node.get("include"), scope, report)
    complete = complete and all(rule.known for rule in (*include, *exclude))
    return MatrixSpec(axes, include, exclude, job.key_span("matrix"), complete)


def _axis(spelling: ScalarNode, node: YamlNode, scope: StaticScope, report: Report) -> tuple[Json, ...] | None:
    if not isinstance(node, ListNode) and not has_holes(node):
        return None
    value = scope.evaluate(node, report)
    if value is UNKNOWN:
        return None
    if not isinstance(value, list):
        message = f"the axis `{spelling.text}` needs a list of values, the expression gives none"
        report.add(Code.MATRIX, node.span, message, "a param of type list gives one")
        return None
    seen: set[str] = set()
    for position, item in enumerate(value):
        key = json.dumps(item, sort_keys=True)
        if key in seen:
            place = node.items[position] if isinstance(node, ListNode) else node
            report.add(Code.MATRIX, place.span, f"duplicate value {key[:60]} on the axis `{spelling.text}`", "remove one")
        seen.add(key)
    return tuple(value)


def _items(node: YamlNode | None) -> list[YamlNode]:
    return [item for item in node.items if isinstance(item, MapNode)] if isinstance(node, ListNode) else []


def _rules(node: YamlNode | None, scope: StaticScope, report: Report) -> tuple[CellRule, ...]:
    rules = []
    for item in _items(node):
        assert isinstance(item, MapNode)
        values = {name: scope.evaluate(value, report) for name, (_, value) in item.entries.items()}
        rules.append(
            CellRule(
                {name: value for name, value in values.items() if value is not UNKNOWN},
                item.key_span(next(iter(values), "")),
                known=UNKNOWN not in values.values(),
            )
        )
    return tuple(rules)
