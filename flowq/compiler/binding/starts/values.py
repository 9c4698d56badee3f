"""Values that an entry of `schedule` or `triggers` gives to the params of its runs."""

from collections.abc import Mapping
from dataclasses import replace

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope
from flowq.compiler.params.params import Given, ParamSpec, bind_params
from flowq.compiler.syntax.nodes import Json, MapNode, YamlNode
from flowq.compiler.syntax.source import Report


def params_of(node: YamlNode) -> Mapping[str, YamlNode]:
    """Return the nodes of the values, by the names of the params."""
    section = node.get("params") if isinstance(node, MapNode) else None
    return {name: value for name, (_, value) in section.entries.items()} if isinstance(section, MapNode) else {}


def names_of(node: YamlNode) -> Mapping[str, Span]:
    """Return the spans of the names."""
    section = node.get("params") if isinstance(node, MapNode) else None
    return {name: spelling.span for name, (spelling, _) in section.entries.items()} if isinstance(section, MapNode) else {}


def values_of(node: YamlNode, scope: StaticScope, report: Report, whole: Span) -> Given:
    """Return the values with their places. `whole` stands for the entry."""
    nodes = params_of(node)
    values = {name: scope.evaluate(value, report) for name, value in nodes.items()}
    return Given(values, {name: value.span for name, value in nodes.items()}, report, whole, names=names_of(node))


def check_values(specs: tuple[ParamSpec, ...], given: Given, run: Mapping[str, Json], root: MapNode, report: Report) -> None:
    """Report values that the params do not take, and params that get none: no user is there to give it.

    Args:
        specs: the params of the flow.
        given: the values; those that are known later are `UNKNOWN`.
        run: what is known of a run, for the defaults.
        root: the flow.
        report: gets the problems.
    """
    missing = [spec.name for spec in specs if spec.required and spec.default is None and spec.name not in given.values]
    for name in missing:
        message = f"the param `{name}` needs a value: {report.source.name} has no default for it"
        if given.whole is not None:
            report.add(Code.START_VALUE, given.whole, message, f"write params: {{{name}: …}}")
    found = replace(given, values={**given.values, **dict.fromkeys(missing, UNKNOWN)})
    bind_params(specs, found, run, root, Report(report.source))  # problems of defaults are reported where the run is bound
