"""The generator of `docs/reference.md`: `python -m tests.repository.reference --check` or `--write`.

The guide (`docs/language.md`) explains; the reference lists. Its content comes from `schemas/flow.schema.json`, the tables of the
expression language and the limits of the compiler; `make stale` fails if it is out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowq import defaults
from flowq.compiler import units
from flowq.compiler.analysis import lint, matrix_cells
from flowq.compiler.binding import fields, inheritance
from flowq.compiler.diagnostics.codes import WARNINGS, Code
from flowq.compiler.expressions.sites import HANDLER_RUN, NOTICE_RUN, RUNTIME_RUN, STATIC_RUN, Context
from flowq.compiler.syntax import files, nodes, source
from flowq.compiler.syntax import parser as yaml_parser
from flowq.compiler.syntax.schema import schema_document
from flowq.expr import functions, parser, tokens
from flowq.expr.functions import FUNCTIONS, FunctionSignature
from tests.repository.generated import main

ROOT: Final = Path(__file__).resolve().parents[2]
TARGET: Final = ROOT / "docs" / "reference.md"
Schema: TypeAlias = dict[str, Any]

HEAD: Final = """# Reference of the flow language

Every key, name, function and limit, generated from the schema and the code by `python -m tests.repository.reference --write`.
[The guide](language.md) explains the language, [the index of errors](errors.md) the messages of the compiler.
"""
_WORDS: Final = {
    "object": "a map",
    "array": "a list",
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_OPERATORS: Final = (
    ("`a ? b : c`", "b if a is true, else c"),
    ("`a ?? b`", "b if a is null or missing, else a"),
    ("`a || b`", "a or b; booleans"),
    ("`a && b`", "a and b; booleans"),
    ("`==` `!=`", "equality; `1 == 1.0`, and values of different types are never equal"),
    ("`<` `<=` `>` `>=`", "order of two numbers or two strings"),
    ("`a in b`", "whether a list has an item, a map a key, or a string a substring"),
    ("`!a`", "not; a boolean"),
    ("`a.name` `a['name']` `a[0]`", "a part of a map or list"),
    ("`a[*].name`", "that part of every item of a list"),
    ("`[a, b]` `{name: a}`", "a list, a map"),
)


def reference() -> str:
    """Return the text of the page."""
    document = schema_document()
    parts = [HEAD, "## Top level\n", _table(document["properties"]), "## A job\n", _table(_definition("job")["properties"])]
    for title, path in _SECTIONS.items():
        parts += [f"## {title}\n", _table(_inner(path))]
    parts += ["## Names in expressions\n", "\n".join(_names()) + "\n"]
    parts += ["## Operators\n\nFrom the loosest to the tightest.\n", _rows(("operator", "gives"), _OPERATORS)]
    parts += [
        "## Functions\n",
        _rows(("function", "gets", "gives"), [_function(name, item) for name, item in FUNCTIONS.items()]),
    ]
    parts += ["## Limits\n", _rows(("limit", "value"), _limits())]
    parts += ["## Diagnostics\n", f"{len(Code)} codes, {len(WARNINGS)} of them warnings: [errors.md](errors.md).\n"]
    return "\n".join(parts)


_SECTIONS: Final = {
    "A param": "param",
    "A secret": "secret",
    "An entry of depends_on": "dependency",
    "`matrix`": "matrix",
    "`retry`": "retry",
    "`allow_failure`": "allow_failure",
    "`approval`": "approval",
    "`cache`": "cache",
    "An entry of `artifacts`": "artifact",
    "`concurrency` of a job": "job_concurrency",
    "`concurrency` of the flow": "run_concurrency",
    "An entry of `schedule`": "schedule_entry",
    "A trigger": "trigger",
    "`files` of a trigger": "trigger_files",
    "`webhook` of a trigger": "trigger_webhook",
    "An entry of `notify`": "notice",
}


def _definition(name: str) -> Schema:
    found: Schema = schema_document()["$defs"][name]
    return found


def _inner(name: str) -> Schema:
    """Return the keys of a definition; if it has alternatives, those of the map."""
    definition = _definition(name)
    options = [definition, *definition.get("anyOf", ())]
    found: Schema = next(_resolved(option)["properties"] for option in options if "properties" in _resolved(option))
    return found


def _resolved(schema: Schema) -> Schema:
    while "$ref" in schema:
        target: Any = schema_document()
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = target
    return schema


def _table(properties: Schema) -> str:
    rows = [(f"`{key}`", _value(schema), _text(schema, "description")) for key, schema in properties.items()]
    return _rows(("key", "value", "meaning"), rows)


def _text(schema: Schema, key: str) -> str:
    return str(schema.get(key) or _resolved(schema).get(key, ""))


def _value(schema: Schema) -> str:
    """Return the type of a value in words."""
    found = _resolved(schema)
    if "enum" in found:
        return " ".join(f"`{item}`" for item in found["enum"])
    expected = schema.get("x-expected") or found.get("x-expected")
    words = expected or " or ".join(_WORDS[kind] for kind in _kinds(found)) or "any value"
    return words + _range(found)


def _kinds(schema: Schema) -> list[str]:
    if "anyOf" in schema:
        return list(dict.fromkeys(kind for option in schema["anyOf"] for kind in _kinds(_resolved(option))))
    declared = schema.get("type", [])
    return [declared] if isinstance(declared, str) else list(declared)


def _range(schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return ""
    return f", {least:,} to {most:,}" if most is not None and least is not None else f", at least {least:,}"


def _names() -> Iterator[str]:
    yield "| root | where |"
    yield "|---|---|"
    roots = dict.fromkeys(root for place in Context for root in place.roots)
    for root in roots:
        places = [_PLACES.get(place, place.value) for place in Context if root in place.roots]
        missing = [_PLACES[place] for place in Context if root not in place.roots]
        where = "everywhere" if not missing else ", ".join(places)
        if 0 < len(missing) < len(places) / 2:
            where = f"everywhere but in {' and '.join(missing)}"
        yield f"| `{root}` | {where} |"
    yield ""
    yield f"Of the run: {_listed('run.', STATIC_RUN)} before the run, {_listed('run.', RUNTIME_RUN)} in it, and {_listed('run.', HANDLER_RUN)} in handlers; {_listed('run.', NOTICE_RUN)} in messages."


_PLACES: Final = {
    Context.STATIC: "values that are fixed before the run",
    Context.CELL: "`params` of a job with `flow`",
    Context.QUEUE: "`queue`",
    Context.TIMEOUT: "`timeout`",
    Context.ALLOW_FAILURE: "`allow_failure`",
    Context.FLOW_ENV: "`env` of the flow",
    Context.JOB_ENV: "`env` of a job",
    Context.JOB: "everything else of a job",
    Context.RESOURCES: "`resources`",
    Context.LIST: "`foreach`",
    Context.WHOLE: "`if` of a job with `foreach`",
    Context.OUTPUTS: "`outputs`",
    Context.SCHEDULE: "`params` of a schedule's entry",
    Context.EVENT: "`if` and `params` of a trigger",
    Context.NOTICE: "`message` of `notify`",
}


def _listed(prefix: str, names: tuple[str, ...]) -> str:
    return ", ".join(f"`{prefix}{name}`" for name in sorted(names))


def _function(name: str, signature: FunctionSignature) -> tuple[str, str, str]:
    usage, _, words = signature.usage.partition(":")
    gets = ", ".join(" or ".join(kinds) for kinds in signature.parameters) + (", …" if signature.repeats else "")
    text = f"`{usage.strip()}`" + (f":{words}" if words else "")
    assert text.startswith(f"`{name}("), f"the usage of {name} does not begin with it"
    return text, gets, signature.result


def _limits() -> list[tuple[str, str]]:
    return [
        ("size of a file", f"{source.MAX_BYTES // 1024**2} MiB"),
        ("levels of lists and maps", f"{nodes.MAX_DEPTH:,}"),
        ("values of a file, including those that its aliases stand for", f"{yaml_parser.MAX_NODES:,}"),
        ("jobs of a run, including cells of matrices and jobs of sub-flows", f"{matrix_cells.MAX_CELLS:,}"),
        ("items of a `foreach`", f"{defaults.MAX_ITEMS:,}"),
        ("levels of sub-flows", f"{units.MAX_DEPTH:,}"),
        ("sub-flows of a flow", f"{units.MAX_UNITS:,}"),
        ("files that a flow uses", f"{files.MAX_FILES:,}"),
        ("templates that extend each other", f"{inheritance.MAX_CHAIN:,}"),
        ("longest wait before a retry", f"{fields.MAX_WAIT / 86400:g} days"),
        ("characters of an expression", f"{tokens.MAX_SOURCE:,}"),
        ("levels of an expression", f"{parser.MAX_DEPTH:,}"),
        ("characters of a string that an expression creates", f"{functions.MAX_TEXT:,}"),
        ("items of a list that an expression creates", f"{functions.MAX_ITEMS:,}"),
        ("different conditions that are followed for FQ701", f"{lint.MAX_CONDITIONS:,}"),
    ]


def _rows(head: tuple[str, ...], rows: Any) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(TARGET, lambda _: reference(), "tests.repository.reference"))
