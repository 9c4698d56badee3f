"""Parameters: their declarations and the values of a run. Every violation is reported, each at the parameter's line."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START, Span
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope, has_holes
from flowq.compiler.params.types import ParamProblem, check_rules, compile_pattern, convert
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, plain
from flowq.compiler.syntax.source import Report
from flowq.expr import types
from flowq.expr.functions import MAX_TEXT
from flowq.plan.param import Param

TYPES: Final = {
    "string": types.STRING,
    "number": types.NUMBER,
    "integer": types.NUMBER,
    "boolean": types.BOOLEAN,
    "date": types.STRING,
    "datetime": types.STRING,
    "duration": types.STRING,
    "list": types.LIST,
    "map": types.MAP,
}
_INFERRED: Final = ("boolean", "integer", "number", "list", "map")  # types that a value of JSON shows
_UNKNOWN_TYPE: Final = "any"  # of a declaration whose `type` is no legal one, which is reported: its values are not checked


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """A declared parameter. `default` is its node in the tree."""

    name: str
    type: str
    span: Span
    default: YamlNode | None = None
    required: bool = True
    enum: tuple[Json, ...] = ()
    minimum: Json = None
    maximum: Json = None
    pattern: str = ""
    description: str = ""
    has_type: bool = True

    @property
    def static_type(self) -> types.Type:
        """The type of the value in expressions; an optional one without a default may be null."""
        if self.default is None and not self.required:
            return types.ANY
        if self.type == "string" and self.enum:
            return types.Type("string", values=self.enum)
        return TYPES.get(self.type, types.ANY)

    def declaration(self) -> Param:
        """Return it without nodes of the tree."""
        default = None if self.default is None else plain(self.default)
        return Param(
            name=self.name,
            type=self.type,
            required=self.required,
            has_default=self.default is not None,
            default=default,
            computed=self.default is not None and has_expressions(self.default),
            enum=self.enum,
            minimum=self.minimum,
            maximum=self.maximum,
            pattern=self.pattern,
            description=self.description,
            line=self.span.line,
        )


@dataclass(frozen=True, slots=True)
class Given:
    """Values given for parameters.

    Attributes:
        values: by name; a string is converted to the parameter's type, as `-p name=value` is. `UNKNOWN` after a reported problem.
        places: the spans of values that are in a file.
        names: the spans of their names, where those are keys of a map.
        report: gets the problems of the values and missing values; None: report them at the declarations.
        whole: the span of the node that gives all of them: the job with `flow`.
        unread: their file could not be read, which is reported: missing values are not.
        open: the flow is not run, and params may lack a value: it is `UNKNOWN`.
    """

    values: Mapping[str, Json]
    places: Mapping[str, Span] = field(default_factory=dict)
    report: Report | None = None
    whole: Span | None = None
    unread: bool = False
    open: bool = False
    names: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bound:
    """Parameters with their values. `values` lacks those without a value because of a reported problem."""

    specs: tuple[ParamSpec, ...]
    scope: StaticScope

    @property
    def values(self) -> Mapping[str, Json]:
        """The value of each parameter."""
        return self.scope.params

    def types(self) -> types.Type:
        """Return the static type of `params`."""
        return types.Type("map", keys={spec.name: spec.static_type for spec in self.specs})


def declare_params(root: MapNode, report: Report) -> tuple[ParamSpec, ...]:
    """Read the declarations. Wrong shapes are reported already; they count as absent."""
    section = root.get("params")
    if not isinstance(section, MapNode):
        return ()
    return tuple(
        _declare(name, spelling, node, report)
        for name, (spelling, node) in section.entries.items()
        if isinstance(node, MapNode)
    )


def bind_params(specs: tuple[ParamSpec, ...], given: Given, run: Mapping[str, Json], root: MapNode, report: Report) -> Bound:
    """Bind every parameter to the given value, else to its default.

    Args:
        specs: the declarations.
        given: the values.
        run: the known keys of `run`, for defaults.
        root: the flow, for spans.
        report: gets the violations.
    """
    names = tuple(spec.name for spec in specs)
    for name in given.values:
        if name not in names:
            declared = root.key_span("params") if "params" in root.entries else START
            hint = did_you_mean(name, names, "the params are") if names else "this flow has no params"
            where, place = _place(given, name, declared, report)
            where.add(Code.UNKNOWN_PARAM, given.names.get(name, place), f"there is no param `{name[:60]}`", hint)
    values: dict[str, Json] = {}
    left = MAX_TEXT
    for position, spec in enumerate(specs):
        # a default may use the params declared before it
        scope = StaticScope(dict(values), names[:position], run, later=names[position:])
        value = _given(spec, given, report) if spec.name in given.values else _default(spec, given, scope, report)
        if spec.name not in given.values and spec.default is not None and has_expressions(spec.default):
            left -= _size(value, left)
            if left < 0:
                message = f"the defaults with expressions have more than {MAX_TEXT:,} characters in all"
                report.add(Code.EVALUATION, spec.default.span, message, "compute such values in a job")
                value, left = UNKNOWN, 0
        if value is not UNKNOWN:
            values[spec.name] = value
    return Bound(specs, StaticScope(values, names, run))


def _declare(name: str, spelling: ScalarNode, node: MapNode, report: Report) -> ParamSpec:
    kind = _scalar(node, "type", str) if "type" in node.entries else "string"
    if kind not in TYPES:
        kind = _UNKNOWN_TYPE
    default = node.get("default")
    required = _scalar(node, "required", bool)
    enum = node.get("enum")
    spec = ParamSpec(
        name=name,
        type=kind,
        span=spelling.span,
        default=default,
        required=default is None if required is None else bool(required) and default is None,
        enum=tuple(plain(item) for item in enum.items) if isinstance(enum, ListNode) else (),
        minimum=_bound(node, "minimum"),
        maximum=_bound(node, "maximum"),
        pattern=_scalar(node, "pattern", str) or "",
        description=_scalar(node, "description", str) or "",
        has_type="type" in node.entries,
    )
    return _check_declaration(spec, node, report)


def _scalar(node: MapNode, key: str, kind: type) -> Json:
    found = node.get(key)
    return found.value if isinstance(found, ScalarNode) and type(found.value) is kind else None


def _bound(node: MapNode, key: str) -> Json:
    found = node.get(key)
    return found.value if isinstance(found, ScalarNode) else None


def _check_declaration(spec: ParamSpec, node: MapNode, report: Report) -> ParamSpec:
    """Report rules that do not fit the type, and return the declaration without them."""
    if spec.type == _UNKNOWN_TYPE:
        return spec
    legal: list[Json] = []
    enum = node.get("enum")
    for item, value in zip(enum.items if isinstance(enum, ListNode) else (), spec.enum, strict=True):
        legal += _rule_value(spec, item, value, "enum", report)
    bounds: dict[str, Json] = {}
    for key in ("minimum", "maximum"):
        bound = node.get(key)
        if isinstance(bound, ScalarNode) and bound.value is not None:
            if spec.type in ("string", "boolean", "list", "map"):
                message = f"`{key}` does not fit a param of type {spec.type}"
                hint = "it is for numbers, dates and durations" + (
                    "" if spec.has_type else ": declare a `type`, such as integer"
                )
                report.add(Code.PARAM_DECLARATION, node.key_span(key), message, hint)
                continue
            bounds[key] = next(iter(_rule_value(spec, bound, bound.value, key, report)), None)
    pattern = spec.pattern
    if pattern and (problem := _pattern_problem(spec)) is not None:
        report.add(problem[0], node.entries["pattern"][1].span, problem[1], problem[2])
        pattern = ""
    kind = (
        spec.type if spec.has_type or len(legal) == len(spec.enum) else _UNKNOWN_TYPE
    )  # one mistake, not one more for the default
    return replace(
        spec, type=kind, enum=tuple(legal), minimum=bounds.get("minimum"), maximum=bounds.get("maximum"), pattern=pattern
    )


def _rule_value(spec: ParamSpec, node: YamlNode, value: Json, key: str, report: Report) -> list[Json]:
    try:
        return [convert(spec.type, value)]
    except ParamProblem as problem:
        report.add(
            Code.PARAM_DECLARATION,
            node.span,
            f"`{key}` of a param of type {spec.type}: {problem}",
            _type_help(spec, value, problem),
        )
        return []


def _type_help(spec: ParamSpec, value: Json, problem: ParamProblem) -> str:
    """Return the help for a value of the wrong type; where `type` is absent, it is one of the two ways."""
    if spec.has_type or value is None:
        return problem.help
    fitting = next((kind for kind in _INFERRED if TYPES[kind].kind == types.kind_of(value) and _fits(kind, value)), "")
    return ", or ".join(way for way in (f"declare `type: {fitting}`" if fitting else "", problem.help) if way)


def _fits(kind: str, value: Json) -> bool:
    try:
        convert(kind, value)
    except ParamProblem:
        return False
    return True


def _pattern_problem(spec: ParamSpec) -> tuple[Code, str, str] | None:
    if spec.type != "string":
        return Code.PARAM_DECLARATION, f"`pattern` does not fit a param of type {spec.type}", "it is for strings"
    try:
        compile_pattern(spec.pattern)
    except ParamProblem as problem:
        return Code.PARAM_PATTERN, str(problem), problem.help
    return None


def _place(given: Given, name: str, declared: Span, report: Report) -> tuple[Report, Span]:
    """Return the report and the span for a problem of a given value."""
    if given.report is not None and name in given.places:
        return given.report, given.places[name]
    return report, declared


def has_expressions(default: YamlNode) -> bool:
    """Return whether a node or a part of it contains an expression."""
    seen: set[int] = set()  # nodes that aliases repeat are visited once
    waiting = [default]
    while waiting:
        node = waiting.pop()
        if has_holes(node):
            return True
        if not isinstance(node, ScalarNode) and id(node) not in seen:
            seen.add(id(node))
            waiting += node.items if isinstance(node, ListNode) else [item for _, item in node.entries.values()]
    return False


def _size(value: Json, limit: int) -> int:
    """Return the size of a value in characters, an item counting as 16; any number above `limit` if it is larger."""
    size = 0
    waiting = [value]
    while waiting and size <= limit:
        item = waiting.pop()
        size += len(item) if isinstance(item, str) else 16
        waiting += item if isinstance(item, list) else item.values() if isinstance(item, dict) else ()
    return size


def _given(spec: ParamSpec, given: Given, report: Report) -> Json:
    value = given.values[spec.name]
    where, place = _place(given, spec.name, spec.span, report)
    return value if value is UNKNOWN else _checked(spec, value, place, "", where)


def _default(spec: ParamSpec, given: Given, scope: StaticScope, report: Report) -> Json:
    if spec.default is None:
        if not spec.required:
            return None
        if given.unread or given.open:
            return UNKNOWN
        message = f"the param `{spec.name}` needs a value"
        if given.report is not None and given.whole is not None:
            given.report.add(
                Code.MISSING_PARAM,
                given.whole,
                f"{message}: {report.source.name} has no default for it",
                f"write params: {{{spec.name}: …}}",
            )
        else:
            report.add(Code.MISSING_PARAM, spec.span, message, f"give it with -p {spec.name}=…")
        return UNKNOWN
    value = scope.evaluate(spec.default, report)
    if value is UNKNOWN or value is None:
        return value
    return _checked(spec, value, spec.default.span, "default of ", report)


def _checked(spec: ParamSpec, value: Json, span: Span, what: str, report: Report) -> Json:
    if spec.type == _UNKNOWN_TYPE:
        return UNKNOWN
    try:
        converted = convert(spec.type, value)
    except ParamProblem as problem:
        report.add(Code.PARAM_TYPE, span, f"{what}param `{spec.name}`: {problem}", _type_help(spec, value, problem))
        return UNKNOWN
    problems = check_rules(converted, spec.enum, spec.minimum, spec.maximum, spec.pattern)
    for broken in problems:
        report.add(Code.PARAM_RULE, span, f"{what}param `{spec.name}`: {broken}", broken.help)
    return UNKNOWN if problems else converted
