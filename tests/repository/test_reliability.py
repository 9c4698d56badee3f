"""The page on reliability: each test that it names exists, and it has every fault and threat of the design."""

import ast
import re
from functools import cache

from tests.repository.makefile import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = {"P": 14, "N": 7, "R": 16, "D": 13, "E": 13, "TH-": 21, "TW-": 23}
NAMED = re.findall(r"`(?:tests/)?([\w/]+\.py)::(test_\w+)`?", PAGE)


@cache
def names_in(file: str) -> set[str]:
    path = ROOT / "tests" / file
    body = ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else []
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


def exists(file: str, test: str) -> bool:
    return test in names_in(file)


def test_each_test_that_is_named_exists() -> None:
    assert [f"{file}::{test}" for file, test in NAMED if not exists(file, test)] == []
    assert len(NAMED) > 100


def test_a_test_that_does_not_exist_is_noticed() -> None:
    assert not exists("process/test_kills.py", "test_nothing")
    assert not exists("process/test_nowhere.py", "test_nothing")


def test_each_fault_and_threat_has_one_row() -> None:
    for letter, last in ROWS.items():
        assert re.findall(rf"^\| {letter}(\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, last + 1)]


def test_each_row_names_a_test_or_says_that_there_is_none() -> None:
    rows = re.findall(r"^\| (?:[PNRDE]\d+|T[HW]-\d+) \| .*$", PAGE, re.MULTILINE)
    assert [row for row in rows if "::test_" not in row and not re.search(r"\| not (?:tried|applicable)", row)] == []
