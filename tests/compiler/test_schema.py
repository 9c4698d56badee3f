"""The schema document is valid, complete, and read by our checker as the jsonschema library reads it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.compiler.reader import read
from flowq.compiler.schema import check_shape, schema_document, schema_path
from flowq.compiler.source import decode_source
from flowq.compiler.tree import plain

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


def test_every_key_of_flow_and_job_is_explained() -> None:
    document = schema_document()
    for properties in (
        document["properties"],
        document["$defs"]["job"]["properties"],
        document["$defs"]["param"]["properties"],
    ):
        for name, schema in properties.items():
            assert schema.get("title"), name


@pytest.mark.parametrize("path", [path for path in CASES if not path.stem.startswith("yaml-")], ids=lambda path: path.stem)
def test_the_library_agrees_on_the_cases(path: Path) -> None:
    ours, value = accepts(path.read_text(encoding="utf-8"))
    assert ours == VALIDATOR.is_valid(value)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b c", "1"]), st.dictionaries(KEYS, JSONISH, max_size=4) | JSONISH, max_size=2))
def test_the_library_agrees_on_any_jobs(jobs: dict[str, object]) -> None:
    ours, value = accepts(json.dumps({"jobs": jobs}))
    assert ours == VALIDATOR.is_valid(value)
