"""The guide's examples compile, and the index of errors has every code once."""

import re
from pathlib import Path

import pytest

from flowq.compiler import Code, compile_text, render
from flowq.compiler.codes import WARNINGS
from flowq.expr.functions import FUNCTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_guide_compile(number: int) -> None:
    result = compile_text(EXAMPLES[number], date="2026-01-31")
    assert result.diagnostics == (), "\n".join(map(render, result.diagnostics))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 7


def test_the_guide_has_every_function() -> None:
    assert [name for name in FUNCTIONS if f"`{name}(" not in GUIDE] == []


def test_the_index_has_every_code_once_and_in_order() -> None:
    rows = re.findall(r"^\| (FQ[0-9]{3}) \| (.*?) \|", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [code for code, _ in rows] == sorted(Code)
    assert {code for code, text in rows if text.startswith("Warning:")} == WARNINGS


def test_what_this_version_leaves_out_is_not_promised() -> None:
    assert not re.search(r"secrets:|cache:|hash_files", GUIDE)
