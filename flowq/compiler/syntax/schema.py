"""`schemas/flow.schema.json`, the one description of the shape, turned into a checker that reports with places.

The checker interprets the schema document itself; it knows the keywords the document uses and refuses others when it is built, so that
nothing in the document can be without effect. A test compares its verdicts with the jsonschema library's. Keywords of our own:

* `x-expected`: what to say was expected, instead of a list of types.
* `x-synonyms`: keys people try, with the right one.
* `x-code`: the code of a pattern's diagnostics.
"""

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import Span
from flowq.compiler.diagnostics.suggestions import close_match, did_you_mean, listing
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, type_name
from flowq.compiler.syntax.source import Report

Check: TypeAlias = Callable[[YamlNode, str, Report], None]  # node, the key it stands under, where to report
Schema: TypeAlias = dict[str, Any]

_IGNORED: Final = frozenset({"$schema", "$id", "$defs", "title", "description"})
_WORDS: Final = {
    "object": "a map",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_HERE: Final = Path(__file__).resolve()


def schema_path() -> Path:
    """Return where the schema document is: inside the installed package, else beside it in a checkout."""
    inside = _HERE.parent.parent / "schemas" / "flow.schema.json"
    return inside if inside.exists() else _HERE.parent.parent.parent / "schemas" / "flow.schema.json"


@cache
def schema_document() -> Schema:
    """Return the schema document."""
    document: Schema = json.loads(schema_path().read_text(encoding="utf-8"))
    return document


def check_shape(root: YamlNode, report: Report) -> None:
    """Report everything in the tree that does not have the shape of a flow."""
    _checker()(root, "the flow", report)


@cache
def _checker() -> Check:
    return _Builder(schema_document()).build(schema_document())


class _Builder:
    """Makes closures of schemas; each is built once, `$ref`s share it."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self._built: dict[int, Check] = {}

    def build(self, schema: Schema) -> Check:
        """Return the checker of a schema."""
        known = self._built.get(id(schema))
        if known is None:
            known = self._built[id(schema)] = self._make(self.resolve(schema))
        return known

    def resolve(self, schema: Schema) -> Schema:
        """Follow `$ref`; beside it only words for people may stand."""
        while "$ref" in schema:
            assert set(schema) <= _IGNORED | {"$ref"}, f"keys beside $ref in {schema}"
            target: Any = self._document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        return schema

    def _make(self, schema: Schema) -> Check:
        known = {key for keys in _KEYWORDS.values() for key in keys}
        assert set(schema) <= known | _IGNORED, f"keywords the checker does not know in {schema}"
        if "anyOf" in schema:
            return self._any_of(schema)
        types = _types(schema)
        parts: dict[type, Check] = {
            MapNode: self._object(schema),
            ListNode: self._array(schema),
            ScalarNode: _scalar(schema),
        }
        wrong = _wrong_type(schema, types)

        def check(node: YamlNode, key: str, report: Report) -> None:
            if types is not None and not (_json_types(node) & types):
                wrong(node, key, report)
                return
            parts[type(node)](node, key, report)

        return check

    def _any_of(self, schema: Schema) -> Check:
        """Branches differ in type here, so that a problem is told for the branch that was meant."""
        branches = [(_types(self.resolve(item)), self.build(item)) for item in schema["anyOf"]]
        wrong = _wrong_type(schema, frozenset().union(*(types or frozenset() for types, _ in branches)))
        by_type: dict[str, Check] = {}
        for types, check in branches:
            assert types is not None, "a branch of anyOf needs a type"
            assert not types & by_type.keys(), "branches of anyOf must differ in type"
            by_type.update(dict.fromkeys(types, check))

        def check_any(node: YamlNode, key: str, report: Report) -> None:
            for name in _json_types(node):
                if name in by_type:
                    by_type[name](node, key, report)
                    return
            wrong(node, key, report)

        return check_any

    def _object(self, schema: Schema) -> Check:
        properties = {name: self.build(item) for name, item in schema.get("properties", {}).items()}
        extra = schema.get("additionalProperties", True)
        others = self.build(extra) if isinstance(extra, dict) else None
        names = self.build(schema["propertyNames"]) if "propertyNames" in schema else None
        required = tuple(schema.get("required", ()))
        least = schema.get("minProperties", 0)
        unknown = _unknown_key(schema) if extra is False else None

        def check(node: YamlNode, key: str, report: Report) -> None:
            assert isinstance(node, MapNode)
            for name, (spelling, value) in node.entries.items():
                part = properties.get(name, others)
                if part is not None:
                    part(value, name, report)
                elif unknown is not None:
                    unknown(spelling, report)
                if names is not None:
                    names(_as_text(spelling), name, report)
            for name in required:
                if name not in node.entries:
                    report.add(Code.MISSING_KEY, _head(node), f"{key} needs the key `{name}`", f"add `{name}:`")
            if len(node.entries) < least:
                report.add(
                    Code.WRONG_VALUE, _head(node), f"{key} is empty", f"expected {schema.get('x-expected', 'at least one key')}"
                )

        return check

    def _array(self, schema: Schema) -> Check:
        items = self.build(schema["items"]) if "items" in schema else None
        least, most = schema.get("minItems", 0), schema.get("maxItems")

        def check(node: YamlNode, key: str, report: Report) -> None:
            assert isinstance(node, ListNode)
            if len(node.items) < least:
                report.add(Code.WRONG_VALUE, node.span, f"{key} is an empty list", f"it needs at least {least} item")
            if most is not None and len(node.items) > most:
                report.add(Code.WRONG_VALUE, node.span, f"{key} may have {most:,} items, this has {len(node.items):,}", "")
            if items is not None:
                for item in node.items:
                    items(item, key, report)

        return check


_KEYWORDS: Final = {
    "any": ("type", "anyOf", "x-expected", "x-code"),
    "object": ("properties", "additionalProperties", "propertyNames", "required", "minProperties", "x-synonyms"),
    "array": ("items", "minItems", "maxItems"),
    "scalar": ("enum", "pattern", "minLength", "maxLength", "minimum", "maximum"),
}

_OBJECT: Final = frozenset({"object"})
_ARRAY: Final = frozenset({"array"})
_STRING: Final = frozenset({"string"})
_SCALARS: Final[dict[type, frozenset[str]]] = {
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
}


def _json_types(node: YamlNode) -> frozenset[str]:
    if type(node) is ScalarNode:
        return _SCALARS[type(node.value)]
    return _OBJECT if type(node) is MapNode else _ARRAY


def _types(schema: Schema) -> frozenset[str] | None:
    declared = schema.get("type")
    if declared is None:
        return None
    return frozenset([declared] if isinstance(declared, str) else declared)


def _as_text(key: ScalarNode) -> ScalarNode:
    return key if type(key.value) is str else ScalarNode(key.text, key.text, key.style, key.start, key.end)


def _head(node: MapNode) -> Span:
    """The place to show for a map as a whole: its first key, where it has one."""
    for spelling, _ in node.entries.values():
        return spelling.span
    return node.span


def _wrong_type(schema: Schema, types: frozenset[str] | None) -> Check:
    words = [
        word for name, word in _WORDS.items() if name in (types or ()) and not (name == "integer" and "number" in (types or ()))
    ]
    expected = schema.get("x-expected") or " or ".join(words)

    def report_it(node: YamlNode, key: str, report: Report) -> None:
        span = _head(node) if isinstance(node, MapNode) else node.span
        report.add(
            Code.WRONG_TYPE,
            span,
            f"{key}: expected {expected}, found {type_name(node)}",
            _type_help(node, types or frozenset()),
        )

    return report_it


def _type_help(node: YamlNode, types: frozenset[str]) -> str:
    if isinstance(node, ScalarNode) and types == _STRING and node.text and node.value is not None:
        return f'in quotes it is a text: "{node.text[:60]}"'
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and types & {"integer", "number", "boolean"}:
        if "${{" in node.value:
            return "this value is needed before the run: an expression cannot stand here"
        return "write it without quotes" if node.style else ""
    if isinstance(node, ScalarNode) and types == _ARRAY:
        text = node.text[:60]
        return f"for one item write [{json.dumps(text, ensure_ascii=False) if node.style or '${{' in text else text}]"
    return ""


def _unknown_key(schema: Schema) -> Callable[[ScalarNode, Report], None]:
    known = tuple(schema.get("properties", {}))
    synonyms: dict[str, str] = schema.get("x-synonyms", {})

    def report_it(spelling: ScalarNode, report: Report) -> None:
        name = spelling.text
        if report.full:
            return
        meant = synonyms.get(name.lower()) or close_match(name, known)
        if meant is None and (tried := close_match(name, synonyms)) is not None:
            meant = synonyms[tried]  # a slip in a synonym: `comand`
        hint = f"did you mean {meant}?" if meant else f"known here are {listing(known, 40)}"
        report.add(Code.UNKNOWN_KEY, spelling.span, f"unknown key `{name[:60]}`", hint)

    return report_it


def _scalar(schema: Schema) -> Check:
    """Return the checker of everything a scalar's value must fulfil beside its type."""
    pattern = re.compile(schema["pattern"]) if "pattern" in schema else None
    legal = schema.get("enum")
    expected = schema.get("x-expected", "")
    code = Code(schema["x-code"]) if "x-code" in schema else Code.NAME if pattern is not None else Code.WRONG_VALUE
    least, most = schema.get("minimum"), schema.get("maximum")
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
    if pattern is None and legal is None and least is None and most is None and not shortest and longest is None:
        return lambda _node, _key, _report: None

    def check(node: YamlNode, key: str, report: Report) -> None:
        assert isinstance(node, ScalarNode)
        value = node.value
        if isinstance(value, str):
            if legal is not None and value not in legal:
                message = f"{key}: {value[:60]!r} is not one of the legal values"
                report.add(Code.WRONG_VALUE, node.span, message, did_you_mean(value, legal) + _legal(value, legal))
            elif pattern is not None and not pattern.search(value):
                report.add(code, node.span, f"expected {expected}, found {value[:60]!r}", "")
            elif len(value) < shortest:
                report.add(Code.WRONG_VALUE, node.span, f"{key} is empty", f"expected {expected}" if expected else "")
            elif longest is not None and len(value) > longest:
                report.add(Code.WRONG_VALUE, node.span, f"{key} may have {longest} characters, this has {len(value)}", "")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            if least is not None and value < least:
                report.add(Code.WRONG_VALUE, node.span, f"{key} must be at least {least}, found {node.text}", "")
            elif most is not None and value > most:
                report.add(Code.WRONG_VALUE, node.span, f"{key} must be at most {most}, found {node.text}", "")

    return check


def _legal(value: str, legal: list[str]) -> str:
    return f" legal are {listing(legal, 40)}" if close_match(value, legal) else ""
