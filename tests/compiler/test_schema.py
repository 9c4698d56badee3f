"""The schema document is valid, complete, and read by our checker as the jsonschema library reads it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.compiler.syntax.nodes import plain
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.schema import check_shape, schema_document, schema_path
from flowq.compiler.syntax.source import decode_source

from .test_cases import CASES
from .test_robustness import JSONISH, KEYS

VALIDATOR = jsonschema.Draft202012Validator(schema_document())


def accepts(text: str) -> tuple[bool, Any]:
    source, report = decode_source("x.yaml", text)
    tree = read(source, report)
    if tree is None:
        pytest.skip("not YAML")
    check_shape(tree, report)
    return not report.failed, plain(tree)


def test_the_document_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema_document())


def test_there_is_one_document() -> None:
    root = Path(__file__).resolve().parents[2]
    assert schema_path().resolve() == root / "schemas" / "flow.schema.json"


def properties_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every key that the document describes, with its schema."""
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
        while set(schema) == {"$ref"}:  # the same key elsewhere
            target: Any = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        assert schema.get("title"), f"{path} has no title"
        assert schema.get("description"), f"{path} has no description"


def test_a_synonym_leads_to_a_key_that_exists() -> None:
    def objects(schema: Any) -> Iterator[dict[str, Any]]:
        if isinstance(schema, dict):
            if "x-synonyms" in schema:
                yield schema
            for item in schema.values():
                yield from objects(item)
        elif isinstance(schema, list):
            for item in schema:
                yield from objects(item)

    for schema in objects(schema_document()):
        assert set(schema["x-synonyms"].values()) <= schema["properties"].keys()
        assert not set(schema["x-synonyms"]) & schema["properties"].keys()


@pytest.mark.parametrize("path", [path for path in CASES if not path.stem.startswith("yaml-")], ids=lambda path: path.stem)
def test_the_library_agrees_on_the_cases(path: Path) -> None:
    ours, value = accepts(path.read_text(encoding="utf-8"))
    assert ours == VALIDATOR.is_valid(value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b c", "1"]), st.dictionaries(KEYS, JSONISH, max_size=4) | JSONISH, max_size=2))
def test_the_library_agrees_on_any_jobs(jobs: dict[str, object]) -> None:
    ours, value = accepts(json.dumps({"jobs": jobs}))
    assert ours == VALIDATOR.is_valid(value)
