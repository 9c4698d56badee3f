"""The guide describes every function, and the index of errors every code once. The guide's examples run in `tests/language`."""

import re
from collections.abc import Iterator
from pathlib import Path

from flowq.compiler import Code
from flowq.compiler.diagnostics.codes import WARNINGS
from flowq.compiler.syntax.schema import schema_document
from flowq.expr.functions import FUNCTIONS
from tests.repository.reference import reference

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "language.md").read_text(encoding="utf-8")


def test_the_guide_has_every_function() -> None:
    assert [name for name in FUNCTIONS if f"`{name}(" not in GUIDE] == []


def test_the_index_has_every_code_once_and_in_order() -> None:
    rows = re.findall(r"^\| (FQ[0-9]{3}) \| (.*?) \|", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [code for code, _ in rows] == sorted(Code)
    assert {code for code, text in rows if text.startswith("Warning:")} == WARNINGS


def test_missing_features_are_not_promised() -> None:
    assert not re.search(r"hash_files", GUIDE)


def test_the_reference_agrees_with_schema_and_code() -> None:
    assert (DOCS / "reference.md").read_text(encoding="utf-8") == reference(), "python -m tests.repository.reference --write"


def test_the_reference_has_every_key_and_function() -> None:
    text = (DOCS / "reference.md").read_text(encoding="utf-8")
    document = schema_document()
    keys = [*document["properties"], *document["$defs"]["job"]["properties"], *document["$defs"]["param"]["properties"]]
    assert [key for key in keys if f"| `{key}` |" not in text] == []
    assert [name for name in FUNCTIONS if f"| `{name}(" not in text] == []


def test_the_guide_names_every_key() -> None:
    keys = {key for properties in _properties(schema_document()) for key in properties}
    assert len(keys) > 100
    assert [key for key in sorted(keys) if not re.search(rf"`[^`]*\b{re.escape(key)}\b[^`]*`", GUIDE)] == []


def _properties(part: object) -> Iterator[dict[str, object]]:
    """Yield the maps from key to shape in a part of the schema."""
    if isinstance(part, dict):
        found = part.get("properties")
        if isinstance(found, dict):
            yield found
    for item in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _properties(item)
