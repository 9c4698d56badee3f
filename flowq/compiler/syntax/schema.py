"""The shape check of a flow against `schemas/flow.schema.json`.

Every file goes through a compiled validator (`jsonschema_rs`), the gate, which only accepts or rejects. For a rejected file, the
`jsonschema` package finds the errors, a table turns each into a diagnostic, and the tree gives the spans. `jsonschema` is a thousand times
slower, so the gate also selects the parts that it visits. Additional keywords:

* `x-expected`: the expected value in messages, instead of a list of types.
* `x-synonyms`: wrong keys or values that users try, with the right ones.
* `x-notes`: what to do instead of such a key, a sentence; alone for one that has no counterpart.
* `x-code`: the code of a pattern's diagnostics.
* `x-list-help`: the help where a list was found and none is expected.
* `x-text-help`: the help where a text was found and none is expected.
* `x-expression-help`: what to write instead, where an expression was found that is not allowed.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import MAX_DIAGNOSTICS, Span
from flowq.compiler.diagnostics.suggestions import close_match, did_you_mean, listing
from flowq.compiler.syntax.foreign import schedule_line
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, plain, type_name
from flowq.compiler.syntax.source import Report

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema_rs import Draft202012Validator

Schema: TypeAlias = dict[str, Any]
Told: TypeAlias = Iterator[tuple[Code, Span, str, str]]  # code, place, message, help

_WORDS: Final = {
    "object": "a map",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_PACKAGE: Final = Path(__file__).resolve().parents[2]


def schema_path() -> Path:
    """Return the path of the schema document: inside the installed package, else beside it in a checkout."""
    inside = _PACKAGE / "schemas" / "flow.schema.json"
    return inside if inside.exists() else _PACKAGE.parent / "schemas" / "flow.schema.json"


@cache
def schema_document() -> Schema:
    """Return the schema document."""
    document: Schema = json.loads(schema_path().read_text(encoding="utf-8"))
    return document


def check_shape(root: YamlNode, report: Report) -> None:
    """Report all violations of the schema in the tree."""
    value = plain(root)
    if is_flow(value):
        return
    for error in shape_errors(value):
        if report.full:
            return
        for told in _TABLE[str(error.validator)](_fault(root, error)):
            report.add(*told)


# -- errors ----------------------------------------------------------------------------------------------------------------


def is_flow(value: Any) -> bool:
    """Return whether a value has the shape of a flow."""
    return _accepts(_gate("#"), value)


def shape_errors(value: Any) -> "Iterator[ValidationError]":
    """Yield the schema errors of a value."""
    from jsonschema.validators import Draft202012Validator, extend

    library = Draft202012Validator.VALIDATORS["$ref"]

    def part(validator: Any, ref: str, instance: Any, schema: Schema) -> "Iterator[ValidationError]":
        """Descend into a part only if the gate rejects it."""
        if not _accepts(_gate(ref), instance):
            yield from library(validator, ref, instance, schema)

    keywords = {"$ref": part, "anyOf": _branch, "pattern": _pattern}
    validator = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
    yield from validator(schema_document()).iter_errors(value)


@cache
def _gate(ref: str) -> "Draft202012Validator":
    """Return the compiled validator of a part of the document."""
    from jsonschema_rs import Draft202012Validator

    document = schema_document()
    return Draft202012Validator(document if ref == "#" else {"$defs": document["$defs"], "$ref": ref})


@cache
def _matcher(pattern: str) -> "Draft202012Validator":
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator({"pattern": pattern})


def _accepts(gate: "Draft202012Validator", value: Any) -> bool:
    try:
        return gate.is_valid(value)
    except UnicodeEncodeError:  # a lone surrogate, which PyYAML's Python parser accepts: leave it to `jsonschema`
        return False


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Schema) -> "Iterator[ValidationError]":
    """Match a pattern as the gate does: Python's `$` also matches before a final line break."""
    from jsonschema import ValidationError

    if not _accepts(_matcher(pattern), instance):
        yield ValidationError(pattern)


def _branch(validator: Any, branches: list[Schema], instance: Any, schema: Schema) -> "Iterator[ValidationError]":
    """Yield the errors of the branch of an `anyOf` that has the type of the value. A test ensures that branches differ in type."""
    types: list[str] = []
    for branch in branches:
        own = _types(branch)
        if any(validator.is_type(instance, name) for name in own):
            yield from validator.descend(instance, branch)
            return
        types += own
    told = {key: schema.get(key) for key in ("x-expected", "x-list-help", "x-expression-help")}
    yield from validator.descend(instance, {"type": types, **told})


def _types(schema: Schema) -> list[str]:
    while "$ref" in schema:
        target: Any = schema_document()
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        schema = target
    declared = schema["type"]
    return [declared] if isinstance(declared, str) else declared


# -- spans ------------------------------------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """An error of `jsonschema` with its node in the tree, and the node's key."""

    node: YamlNode
    key: str
    found: Any
    legal: Any  # the value of the keyword
    schema: Schema  # the schema with the keyword


def _fault(root: YamlNode, error: "ValidationError") -> Fault:
    node, key = root, "the flow"
    for step in error.absolute_path:
        if isinstance(node, MapNode):
            key = str(step)
            node = node.entries[key][1]
        else:
            assert isinstance(node, ListNode)
            node = node.items[int(step)]
    if "propertyNames" in error.absolute_schema_path:  # the path ends at the map
        assert isinstance(node, MapNode)
        node = node.entries[str(error.instance)][0]
    assert isinstance(error.schema, dict)
    return Fault(node, key, error.instance, error.validator_value, error.schema)


def _head(node: YamlNode) -> Span:
    """Return the span to show for a whole node: for a map, that of its first key."""
    if isinstance(node, MapNode):
        for spelling, _ in node.entries.values():
            return spelling.span
    return node.span


# -- messages ------------------------------------------------------------------------------------------------------------------


def _type(fault: Fault) -> Told:
    declared = fault.legal
    types = {declared} if isinstance(declared, str) else set(declared)
    words = [word for name, word in _WORDS.items() if name in types and not (name == "integer" and "number" in types)]
    expected = fault.schema.get("x-expected") or " or ".join(words)
    yield (
        Code.WRONG_TYPE,
        _head(fault.node),
        f"{fault.key}: expected {expected}, found {type_name(fault.node)}",
        _list_help(fault)
        or _text_help(fault)
        or _type_help(fault.node, types, fault.schema.get("x-expression-help", "") or ""),
    )


def _type_help(node: YamlNode, types: set[str], instead: str) -> str:
    if isinstance(node, ScalarNode) and types == {"string"} and node.text and node.value is not None:
        return f'in quotes it is a string: "{node.text[:60]}"'
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and types & {"integer", "number", "boolean"}:
        if "${{" in node.value:
            return f"this value is needed before the run: an expression is not allowed here{'; ' if instead else ''}{instead}"
        return "write it without quotes" if node.style else ""
    if isinstance(node, ScalarNode) and types == {"array"}:
        text = node.text[:60]
        return f"for one item write [{json.dumps(text, ensure_ascii=False) if node.style or '${{' in text else text}]"
    return ""


def _text_help(fault: Fault) -> str:
    is_text = isinstance(fault.node, ScalarNode) and isinstance(fault.node.value, str)
    return fault.schema.get("x-text-help", "") if is_text else ""


def _list_help(fault: Fault) -> str:
    if not isinstance(fault.node, ListNode):
        return ""
    line = schedule_line(fault.key, fault.node)
    return f"write {line}" if line else fault.schema.get("x-list-help", "") or ""


_OF_JOBS: Final = frozenset({"run", "call", "depends_on", "extends", "script", "stage", "needs", "variables"})


def _unknown_keys(fault: Fault) -> Told:
    assert isinstance(fault.node, MapNode)
    known = tuple(fault.schema.get("properties", {}))
    synonyms: dict[str, str] = fault.schema.get("x-synonyms", {})
    notes: dict[str, str] = fault.schema.get("x-notes", {})
    unknown = [spelling for name, (spelling, _) in fault.node.entries.items() if name not in known]
    for spelling in unknown[:MAX_DIAGNOSTICS]:
        name = spelling.text
        note = notes.get(name.lower(), "")
        meant = synonyms.get(name.lower()) or (None if note else close_match(name, known))
        if meant is None and not note and (tried := close_match(name, synonyms)) is not None:
            meant = synonyms[tried]  # a misspelt synonym: `comand`
        hint = f"did you mean {meant}? {note}".strip() if meant else note or f"known here are {listing(known, 40)}"
        if "schedule" in known and (line := schedule_line(name, fault.node.entries[name][1])):
            hint = f"write {line}"
        elif "jobs" in known and (meant is None or name.startswith(".")) and _is_job(fault.node.entries[name][1]):
            hint = "a job stands below `jobs:`, a part of some below `templates:`"
        yield Code.UNKNOWN_KEY, spelling.span, f"unknown key `{name[:60]}`", hint


def _is_job(node: YamlNode) -> bool:
    """Return whether this is a job, here or in a system whose files have jobs at their top."""
    return isinstance(node, MapNode) and not _OF_JOBS.isdisjoint(node.entries)


def _missing_keys(fault: Fault) -> Told:
    assert isinstance(fault.node, MapNode)
    for name in fault.legal:
        if name not in fault.node.entries:
            yield Code.MISSING_KEY, _head(fault.node), f"{fault.key} needs the key `{name}`", f"add `{name}:`"


def _no_legal_value(fault: Fault) -> Told:
    value, legal = fault.found, fault.legal
    if isinstance(value, str):  # other types are reported as such
        synonyms: dict[str, str] = fault.schema.get("x-synonyms", {})
        meant = synonyms.get(value.lower()) or close_match(value, legal)
        hint = f"did you mean {meant}? legal are {listing(legal, 40)}" if meant else did_you_mean(value, legal)
        yield from _value(fault, f"{fault.key}: unknown value {value[:60]!r}", hint)


def _no_match(fault: Fault) -> Told:
    code = Code(fault.schema.get("x-code", Code.NAME))
    yield code, fault.node.span, f"expected {fault.schema.get('x-expected', '')}, found {fault.found[:60]!r}", ""


def _empty(fault: Fault, expected: str) -> Told:
    expected = fault.schema.get("x-expected", expected)
    return _value(fault, f"{fault.key} is empty", f"expected {expected}" if expected else "")


def _limit(fault: Fault, limit: str) -> Told:
    assert isinstance(fault.node, ScalarNode)
    return _value(fault, f"{fault.key} must be {limit} {fault.legal}, found {fault.node.text}")


def _value(fault: Fault, message: str, hint: str = "") -> Told:
    yield Code.WRONG_VALUE, fault.node.span, message, hint


_TABLE: Final[dict[str, Callable[[Fault], Told]]] = {
    "additionalProperties": _unknown_keys,
    "enum": _no_legal_value,
    "maxItems": lambda it: _value(it, f"{it.key} may have {it.legal:,} items, this has {len(it.found):,}"),
    "maxLength": lambda it: _value(it, f"{it.key} may have {it.legal} characters, this has {len(it.found)}"),
    "maximum": lambda it: _limit(it, "at most"),
    "minItems": lambda it: _value(it, f"{it.key} is an empty list", f"it needs at least {it.legal} item"),
    "minLength": lambda it: _empty(it, ""),
    "minProperties": lambda it: _empty(it, "at least one key"),
    "minimum": lambda it: _limit(it, "at least"),
    "pattern": _no_match,
    "required": _missing_keys,
    "type": _type,
}
