"""The benchmarks measure what they say. Nothing is compared here: that is for `make bench`."""

import sys

import pytest

from benchmarks.contestants import ROWS, Contestant, contestants
from benchmarks.measure import MeasurementError, NotThereError, rate
from benchmarks.peer import MISSING
from benchmarks.table import render

TWO_MARKS = "import os; from benchmarks.noop import mark; [mark(os.environ['BENCHMARK_MARKS']) for _ in range(2)]"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_every_row_names_contestants() -> None:
    assert {name for row in ROWS for name in (row.peer, row.own)} <= set(contestants(1))


def test_the_rate_is_jobs_by_the_time_between_the_marks() -> None:
    pause = TWO_MARKS.replace("for _", "if not __import__('time').sleep(0.1) else 0 for _")
    assert 0 < rate(Contestant(python(""), python(pause), jobs=100)) <= 1000


def test_a_contestant_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(MeasurementError, match="exit code 1: the reason"):
        rate(Contestant(python(""), python("raise SystemExit('the reason')"), jobs=1))


def test_a_missing_feature_is_no_mishap() -> None:
    with pytest.raises(NotThereError, match="has no SimpleWorker"):
        rate(Contestant(python(""), python(f"raise SystemExit('{MISSING}: x has no SimpleWorker')"), jobs=1))


def test_work_that_was_not_done_is_not_a_rate() -> None:
    with pytest.raises(MeasurementError, match="found 0 marks"):
        rate(Contestant(python(""), python(""), jobs=1))


def test_the_table_has_medians_ratios_and_dashes() -> None:
    table = render({"rq worker": [90.0, 100.0, 1000.0], "flowq worker": [1500.0], "rq SimpleWorker": [400.0]}).splitlines()
    assert table[2].split() == ["fork", "per", "job:", "worker,", "one", "slot", "100", "1,500", "15.0", "x", ">=", "12", "x"]
    assert table[-1].split()[-6:] == ["400", "-", "-", ">=", "12", "x"]
