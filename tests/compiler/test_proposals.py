"""What the help lines of diagnostics propose: written into the file as it is, it is no problem any more."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from flowq.compiler import Code, Compilation
from flowq.compiler.diagnostics.diagnostic import Diagnostic
from flowq.expr import evaluate, parse
from flowq.expr.defaults import default_for
from flowq.expr.functions import FUNCTIONS
from flowq.slots.cron_ranges import without_wrapping
from flowq.slots.schedule import CronExpression
from tests.compiler.test_cases import CASES, compiled

_MEANT = re.compile(r"did you mean (\S+)\?(?:$|[ ;])")
_FALLBACK = re.compile(r"give a fallback: (.*?)(, and put the whole expression in quotes)?")
_CRON = re.compile(r"a range goes up, write '(.*)'")


def proposed(item: Diagnostic) -> str | None:
    """Return the line of the file as the help says, or None if it proposes nothing that can be written as it is."""
    before, found, after = (
        item.text[: item.column - 1],
        item.text[item.column - 1 : item.end_column - 1],
        item.text[item.end_column - 1 :],
    )
    if match := _FALLBACK.fullmatch(item.help):
        whole = f'"{match[1]}"' if match[2] and "{" in before and "${{" not in before else match[1]
        return f"{before}{whole}{after}"
    if match := _CRON.fullmatch(item.help):
        return f'{before}"{match[1]}"{after}'
    if match := _MEANT.match(item.help):
        return f"{before}{match[1]}{after}" if found else None
    return None


def said(result: Compilation, path: Path) -> list[tuple[str, int, str]]:
    return [(item.code, item.line, item.message) for item in result.diagnostics if item.file == path.name]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
def test_a_proposal_ends_the_diagnostic_that_makes_it(path: Path) -> None:
    result = compiled(path)
    text = path.read_text(encoding="utf-8")
    lines = text.split("\n")
    for item in result.diagnostics:
        if item.file != path.name or item.line != item.end_line or (line := proposed(item)) is None:
            continue
        assert lines[item.line - 1].rstrip("\r") == item.text
        after = said(compiled(path, "\n".join([*lines[: item.line - 1], line, *lines[item.line :]])), path)
        before = said(result, path)
        this = (item.code, item.line, item.message)
        assert after.count(this) < before.count(this), line
        if item.code in {
            Code.MAYBE_ABSENT,
            Code.CRON,
        }:  # where the value is an expression that has one: no other problem in its place
            new = [found for found in after if found[1] == item.line and found not in before]
            assert [found for found in new if found[0] != Code.PARAM_TYPE] == [], line


CALLS = [
    (name, count, place)
    for name, it in FUNCTIONS.items()
    for count in range(it.required, len(it.parameters) + 1)
    for place in range(count)
]
OTHERS = {"list": "['a']", "string": "'2026-01-31'", "number": "3", "map": "{a: 1}", "any": "3"}


@pytest.mark.parametrize(("name", "count", "place"), CALLS)
def test_a_function_has_a_value_with_the_fallback_for_each_argument(name: str, count: int, place: int) -> None:
    arguments = []
    for position in range(count):
        kinds = FUNCTIONS[name].parameter(position)
        kind = "list" if "list" in kinds else "number" if "number" in kinds else kinds[0]
        arguments.append({("sum", 0): "[1]"}.get((name, position), OTHERS[kind]))
    arguments[place] = "jobs.a.result"
    expression = parse(f"{name}({', '.join(arguments)})")
    arguments[place] += f" ?? {default_for(expression, expression.references()[0], '')}"
    evaluate(parse(f"{name}({', '.join(arguments)})"), {"jobs": {"a": {"result": None}}})


NUMBERS = st.integers(0, 59)


@given(place=st.integers(0, 4), ends=st.tuples(NUMBERS, NUMBERS), step=st.integers(1, 9))
@example(place=1, ends=(22, 2), step=1)
def test_a_range_past_the_end_of_its_field_is_the_same_hours_in_the_proposal(
    place: int, ends: tuple[int, int], step: int
) -> None:
    low, high = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)][place]
    size = high - low + 1
    first, last = (low + end % size for end in ends)
    assume(last < first)
    fields = ["*"] * 5
    fields[place] = f"{first}-{last}" + (f"/{step}" if step > 1 else "")
    values: set[int] = set()
    for item in without_wrapping(" ".join(fields)).split()[place].split(","):
        span, _, each = item.partition("/")
        begin, _, end = span.partition("-")
        values.update(range(int(begin), int(end or begin) + 1, int(each or 1)))
    assert values == {low + (value - low) % size for value in range(first, last + size + 1, step)}
    CronExpression.of(without_wrapping(" ".join(fields)))
