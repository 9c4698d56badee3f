"""No regular expression of the compiler and of the expression language is slow on hostile text."""

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flowq
import flowq.compiler
import flowq.durations
import flowq.expr
from flowq.compiler import compile_text, render
from flowq.compiler.params.types import MAX_MATCHED, compile_pattern

SIZES = (1_000, 4_000, 16_000, 65_536)
PIECES = (
    "a",
    "A",
    "9",
    " ",
    "\t",
    "'",
    '"',
    "\\",
    "{",
    "}",
    "${{ ",
    "{{",
    "[",
    "]",
    "(",
    "a=",
    "a[",
    "-",
    "a-",
    ".",
    "a.",
    ":",
    "a:",
    "_",
    "1d",
    "1.",
    "$",
    "=",
    "\r",
    "é",
    "\u2028",
    "a ",
    "params",
    "params [",
)


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    names = ["flowq.durations"]
    for package in (flowq.compiler, flowq.expr):
        names += [item.name for item in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    for name in names:
        for key, value in vars(importlib.import_module(name)).items():
            if isinstance(value, re.Pattern):
                yield f"{name}.{key}", value


FOUND = dict(patterns())
SEARCHED = {
    name
    for path in Path(flowq.__file__).parent.rglob("*.py")
    for name in re.findall(r"\b(\w+)\.(?:search|finditer|findall|sub|split)\(", path.read_text(encoding="utf-8"))
}
"""Names whose patterns are looked for anywhere in a text."""


def test_patterns_are_found() -> None:
    assert len(FOUND) > 20


@pytest.mark.parametrize("name", FOUND)
def test_hostile_texts(name: str) -> None:
    """Match each pattern as it is used: at the start, and anywhere if it is used for searching."""
    pattern = FOUND[name]
    searched = name.rpartition(".")[2] in SEARCHED
    ways: list[Callable[[str], object]] = [pattern.match, pattern.search] if searched else [pattern.match]
    assert [piece for way in ways for piece in PIECES if not quick(way, piece)] == []


def quick(way: Callable[[str], object], piece: str) -> bool:
    for size in SIZES:
        text = (piece * size)[:size] + "\0"
        start = time.process_time()
        way(text)
        if time.process_time() - start > 0.1:
            return False
    return True


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+b", "(a|aa)*b", "a*a*a*a*b", "(a*)*", "(?:a+)+", "((a+))+", "(a+){2,}b", "(.*)\\1", "(?=a*)b", "a{1,}{1,}"],
)
def test_patterns_of_params_that_could_be_slow_are_refused(pattern: str) -> None:
    result = compile_text("params: {p: {pattern: '" + pattern + "', default: " + "a" * 200 + "}}\njobs: {a: {run: x}}")
    assert [item.code for item in result.diagnostics] == ["FQ206"], "\n".join(map(render, result.diagnostics))


@pytest.mark.parametrize("pattern", ["a*a*a*b", "[ab]*[bc]*[cd]*e", "(a|b|ab)(c|bcd)(d*)x", ".*.*.*x"])
def test_the_slowest_allowed_patterns(pattern: str) -> None:
    start = time.process_time()
    compile_pattern(pattern).fullmatch("a" * MAX_MATCHED)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "source",
    [
        "{}.__class__", "''.__class__.__mro__", "range(10000000000)", "range(0, 9223372036854775807)", "join(range(100000), 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa')",
        "(" * 10_000 + "1" + ")" * 10_000, "!" * 10_000 + "true", "[" * 10_000, "{a:" * 10_000, "a" + ".b" * 10_000, "a" + "[0]" * 5_000, "true ? " * 3_000 + "1", "1 " + "?? 1 " * 2_000, "10 ** 10 ** 10", "'a' * 10000000",
        "from_json('" + "[" * 5_000 + "')", "format('" + "{0}" * 2_000 + "', '" + "a" * 3_000 + "')", "'" + "\\u0061" * 1_500 + "'", "split('" + "," * 5_000 + "', ',')", "date_add('2026-01-31', '" + "9" * 5_000 + "d')", "date_add('0001-01-01', '-1d')",
    ],
)  # fmt: skip
def test_expressions_have_limits(source: str) -> None:
    """The expressions are labels, which are evaluated when the flow is compiled."""
    start = time.process_time()
    result = compile_text('jobs: {a: {run: x, labels: {l: "${{ ' + source.replace("\\", "\\\\").replace('"', '\\"') + ' }}"}}}')
    assert result.plan is not None or result.diagnostics
    assert time.process_time() - start < 1
