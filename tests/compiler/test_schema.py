"""The schema document is valid and complete, and the two validators agree on every value."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.compiler import compile_text
from flowq.compiler.syntax.nodes import plain
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.schema import _TABLE as TABLE
from flowq.compiler.syntax.schema import _types as types_of
from flowq.compiler.syntax.schema import check_shape, is_flow, schema_document, schema_path, shape_errors
from flowq.compiler.syntax.source import decode_source

from .test_cases import CASES
from .test_robustness import JSONISH, KEYS

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = jsonschema.Draft202012Validator(schema_document())
FLOWS = [path for path in (*CASES, *sorted(ROOT.glob("examples/**/*.yaml"))) if not path.parent.name.startswith("yaml-")]
TEXTS = ["a\n", "${{\n", "x${{ a }}\n", "é", "٣", "\u2028", "0o7", "x" * 129, "x" * 257]
NUMBERS = [0, 1, 3.0, 0.5, -1.0, 1e300, 255, 256, 2**31, 2**53 + 1, 2**75, -(2**70)]
HARD = st.sampled_from([*TEXTS, *NUMBERS])


def agreed(value: Any) -> bool:
    """Return whether a value has the shape of a flow; assert that the gate, our diagnostics and the plain library agree."""
    verdict = is_flow(value)
    assert verdict == (next(shape_errors(value), None) is None)
    if not any(text.endswith("\n") for text in texts_of(value)):  # Python's `$` also matches before a final line break
        assert verdict == VALIDATOR.is_valid(value)
    return verdict


def texts_of(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from texts_of(item)


def accepts(text: str) -> tuple[bool, Any]:
    source, report = decode_source("x.yaml", text)
    tree = read(source, report)
    if tree is None:
        pytest.skip("not YAML")
    check_shape(tree, report)
    return not report.failed, plain(tree)


def parts_of(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every schema of the document."""
    yield schema
    inner = [*schema.get("$defs", {}).values(), *schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties", "propertyNames") if isinstance(schema.get(key), dict)]
    for item in inner:
        yield from parts_of(item)


def test_the_document_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema_document())


def test_every_keyword_has_a_message() -> None:
    """An error of a keyword that the table lacks would end in a traceback."""
    used = {keyword for part in parts_of(schema_document()) for keyword in part if not keyword.startswith("x-")}
    silent = {"$schema", "$id", "$defs", "title", "description"}
    assert used - silent - {"$ref", "anyOf", "properties", "propertyNames", "items"} == TABLE.keys()


def test_branches_differ_in_type() -> None:
    """Otherwise a problem could be reported for the wrong branch."""
    found = [part["anyOf"] for part in parts_of(schema_document()) if "anyOf" in part]
    assert len(found) > 10
    for branches in found:
        names = [name for branch in branches for name in types_of(branch)]
        assert len(names) == len(set(names)), branches


def test_there_is_one_document() -> None:
    root = Path(__file__).resolve().parents[2]
    assert schema_path().resolve() == root / "schemas" / "flow.schema.json"


def properties_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key in the document, with its schema."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from ((f"{path}/{name}", item) for name, item in properties.items() if isinstance(item, dict))
        for key, item in schema.items():
            yield from properties_of(item, f"{path}/{key}")
    elif isinstance(schema, list):
        for item in schema:
            yield from properties_of(item, path)


def test_an_editor_can_explain_every_key() -> None:
    document = schema_document()
    found = list(properties_of(document))
    assert len(found) > 70
    for path, item in found:
        schema = item
        while set(schema) == {"$ref"}:  # the key is defined elsewhere
            target: Any = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        assert schema.get("title"), f"{path} has no title"
        assert schema.get("description"), f"{path} has no description"


def test_a_synonym_leads_to_a_key_or_value_that_exists() -> None:
    for schema in parts_of(schema_document()):
        if "x-synonyms" in schema:
            legal = set(schema["properties"] if "properties" in schema else schema["enum"])
            assert set(schema["x-synonyms"].values()) <= legal
            assert not set(schema["x-synonyms"]) & legal
        if "x-notes" in schema:
            assert not set(schema["x-notes"]) & set(schema["properties"])
            assert set(schema["x-notes"]) == {name.lower() for name in schema["x-notes"]}, "they are looked up in small letters"


@pytest.mark.parametrize("path", FLOWS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_packages_agree_on_the_cases(path: Path) -> None:
    ours, value = accepts(path.read_text(encoding="utf-8"))
    assert ours == agreed(value)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b c", "1", "a\n", "x" * 129]),
        st.dictionaries(KEYS, JSONISH | HARD, max_size=4) | JSONISH,
        max_size=2,
    )
)
def test_the_packages_agree_on_any_jobs(jobs: dict[str, object]) -> None:
    agreed({"jobs": jobs})


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b c", "1"]), st.dictionaries(KEYS, JSONISH, max_size=4) | JSONISH, max_size=2))
def test_the_diagnostics_agree_with_the_packages(jobs: dict[str, object]) -> None:
    ours, value = accepts(json.dumps({"jobs": jobs}))
    assert ours == agreed(value)


def test_a_whole_number_may_have_a_fraction_of_zero() -> None:
    text = "jobs: {a: {run: x, retry: {max: 2.0, on: [3.0]}, allow_failure: {exit_codes: [4.0]}}}"
    with_fraction, without = compile_text(text), compile_text(text.replace(".0", ""))
    assert with_fraction.plan is not None
    assert without.plan is not None
    assert with_fraction.plan.to_json() == without.plan.to_json()


def test_a_name_ends_where_its_line_does() -> None:
    assert [item.code for item in compile_text('jobs: {"a\\n": {run: x}}').diagnostics] == ["FQ109"]


def test_a_lone_surrogate_is_not_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml, "__with_libyaml__", False)  # the C parser refuses the escape
    assert [item.code for item in compile_text('jobs: {"\\ud800": {run: x}}').diagnostics] == ["FQ109"]


def test_only_parts_with_errors_are_searched() -> None:
    """A large flow with one error is checked fast: the compiled gate accepts the other jobs."""
    jobs: dict[str, Any] = {f"j{number}": {"run": "x", "env": {"A": "1"}, "depends_on": []} for number in range(20_000)}
    jobs["k"] = {"rum": "x"}
    begun = time.process_time()
    assert [list(error.absolute_path) for error in shape_errors({"jobs": jobs})] == [["jobs", "k"]]
    assert time.process_time() - begun < 3  # a tenth of that on a quiet machine; without the gate it takes far longer


def test_an_entry_alone_has_the_keys_of_an_entry() -> None:
    document = schema_document()
    alone = document["properties"]["schedule"]["anyOf"][1]["properties"]
    assert [*alone] == [*document["$defs"]["schedule_entry"]["properties"]]
