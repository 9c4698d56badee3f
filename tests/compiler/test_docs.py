"""The guide has every function, and the index of errors every code once. The guide's examples run in `tests/flows_language`."""

import re
from pathlib import Path

from flowq.compiler import Code
from flowq.compiler.codes import WARNINGS
from flowq.expr.functions import FUNCTIONS

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDE = (DOCS / "language.md").read_text(encoding="utf-8")


def test_the_guide_has_every_function() -> None:
    assert [name for name in FUNCTIONS if f"`{name}(" not in GUIDE] == []


def test_the_index_has_every_code_once_and_in_order() -> None:
    rows = re.findall(r"^\| (FQ[0-9]{3}) \| (.*?) \|", (DOCS / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [code for code, _ in rows] == sorted(Code)
    assert {code for code, text in rows if text.startswith("Warning:")} == WARNINGS


def test_what_this_version_leaves_out_is_not_promised() -> None:
    assert not re.search(r"cache:|hash_files", GUIDE)
