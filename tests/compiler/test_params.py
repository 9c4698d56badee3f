"""Parameters from Python and the command line: values are converted to the declared type, or refused."""

import datetime as dt
from typing import Any

import pytest

from flowq.compiler import compile_text


def bound(kind: str, value: Any) -> Any:
    result = compile_text(f"params: {{x: {{type: {kind}}}}}\njobs: {{a: {{run: x}}}}", params={"x": value})
    return [item.code for item in result.diagnostics] if result.plan is None else result.plan.params["x"]


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("string", "a", "a"), ("string", "", ""), ("integer", "12", 12), ("integer", 12, 12), ("number", "1.5", 1.5), ("number", "3", 3), ("number", "1e3", 1000.0),
        ("boolean", "true", True), ("boolean", False, False), ("date", "2024-02-29", "2024-02-29"), ("datetime", "2026-01-31T06:00:00Z", "2026-01-31T06:00:00Z"),
        ("duration", "5m", "5m"), ("duration", 90, "1m30s"), ("list", '[1, "a"]', [1, "a"]), ("list", [1], [1]), ("map", '{"a": null}', {"a": None}), ("map", {}, {}),
    ],
)  # fmt: skip
def test_accepted(kind: str, value: Any, expected: Any) -> None:
    found = bound(kind, value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 1), ("string", None), ("string", "a\0"), ("string", "\udcff"), ("integer", "1.0"), ("integer", 1.5), ("integer", True), ("integer", "9" * 30), ("number", "nan"),
        ("number", float("inf")), ("number", "1e999"), ("number", [1]), ("boolean", "yes"), ("boolean", 1), ("date", "2026-02-30"), ("date", "20260131"), ("date", dt.date(2026, 1, 31)),
        ("datetime", "2026-01-31"), ("duration", "5 m"), ("list", "a,b"), ("list", "{}"), ("list", "[" * 5000), ("list", '["\\ud800"]'), ("map", "[]"), ("map", {"a": object()}),
        ("map", {"a": float("nan")}),
    ],
)  # fmt: skip
def test_refused(kind: str, value: Any) -> None:
    assert bound(kind, value) == ["FQ203"]


def test_a_matrix_of_a_missing_param_gives_one_problem() -> None:
    text = "params: {langs: {type: list}}\njobs:\n  a: {run: 'echo ${{ matrix.lang }}', matrix: {lang: '${{ params.langs }}', v: [1]}}"
    assert [item.code for item in compile_text(text).diagnostics] == ["FQ202"]


def test_warnings_come_with_a_plan() -> None:
    result = compile_text("jobs: {a: {run: x, matrix: {v: [1], exclude: [{v: 2}]}}}")
    assert result.plan is not None
    assert [(item.code, item.severity) for item in result.diagnostics] == [("FQ306", "warning")]
