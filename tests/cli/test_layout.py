"""The layout of `flowq status` and the live display, at common widths."""

from dataclasses import replace

import pytest

from flowq.cli.follow.live_display import frame
from flowq.cli.render.run_table import run_lines
from flowq.cli.render.styled_text import Line, columns, cut, fit, paint, wrap
from flowq.cli.render.summary import failure_lines
from flowq.cli.terminal import Terminal
from flowq.flows.views.run_view import RunView
from flowq.plan import Cell, Edge, Plan
from flowq.states import JobStatus, RunStatus
from tests.cli import golden, samples

RUNS = {"failed": samples.failed_run(), "running": samples.running_run(), "abandoned": samples.running_run(local=True)}


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", RUNS)
def test_status_text(name: str, width: int) -> None:
    golden.check(f"status-{name}-{width}", golden.plain(run_lines(RUNS[name], Terminal(width=width))))


def test_status_of_a_terminal_without_unicode() -> None:
    text = golden.plain(run_lines(RUNS["failed"], Terminal(width=80, unicode=False)))
    assert text.isascii()
    golden.check("status-failed-ascii", text)


def test_only_failed_jobs() -> None:
    golden.check("status-failed-only", golden.plain(run_lines(RUNS["failed"], Terminal(width=80), failed_only=True)))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_an_error_is_wrapped_and_its_place_stays(width: int) -> None:
    failed = samples.failed_run()
    words = "the templates folder has en, fr and sw, but neither de nor a fallback: " + "x" * 100
    jobs = tuple(replace(job, error=words) if job.bad else job for job in failed.jobs)
    run = replace(failed, jobs=jobs)
    bad = run.bad_jobs[0]
    for lines in (
        list(failure_lines(run, bad, [b"\x1b[31m" + b"y" * 90 + b"\x1b[0m"], Terminal(width=width))),
        run_lines(run, Terminal(width=width), failed_only=True)[:-3],
    ):
        texts = [paint(line, color=False) for line in lines]
        assert max(map(columns, texts)) <= width
        flat = "".join(texts).replace(" ", "")
        assert words.replace(" ", "") in flat
        assert "(nightly.yaml:24)" in flat
        assert "…" not in flat


def test_a_wrapped_line_is_broken_between_words_and_has_a_limit() -> None:
    line: Line = (("one two", "bad"), (" three", "dim"))
    assert wrap(line, None) == wrap(line, 13) == [line]
    assert [paint(row, color=False) for row in wrap(line, 12)] == ["one two", "three"]
    assert [paint(row, color=False) for row in wrap((("日本語日本語日本語", ""),), 14, below="  ")] == [
        "日本語日本語日",
        "  本語",
    ]
    assert [paint(row, color=False) for row in wrap((("word " * 40, ""),), 16, most=2)] == [
        "word word word",
        "word word word …",
    ]
    assert wrap(line, 12)[1] == (("three", "dim"),)


@pytest.mark.parametrize("width", [1, 5, 20, 37, 48, 60, 79])
@pytest.mark.parametrize("name", RUNS)
def test_no_line_but_a_command_is_wider_than_the_terminal(name: str, width: int) -> None:
    lines = run_lines(RUNS[name], Terminal(width=width))
    texts = [paint(line, color=False) for line in lines]
    assert all(columns(text) <= width for text in texts if "flowq " not in text)
    assert any("flowq " in text and "…" not in text for text in texts)


def test_a_pipe_gets_everything() -> None:
    text = golden.plain(run_lines(RUNS["failed"], Terminal(width=None)))
    assert "ValueError: no template for de (attempt 2 of 2)" in text


@pytest.mark.parametrize("height", [3, 7, 10, 40])
def test_a_frame_fits_the_height(height: int) -> None:
    lines = frame(RUNS["failed"], Terminal(width=80, height=height), remark="canceling")
    assert len(lines) <= max(height, 4)
    if height >= 7:
        assert "[fmt=pdf,lang=de]" in golden.plain(lines)  # failed jobs come first


def test_the_output_of_a_failed_job_is_shown_above_the_bar_if_there_is_room() -> None:
    tail = list(failure_lines(RUNS["failed"], RUNS["failed"].bad_jobs[0], [b"building", b"no font\x1b[2J"], Terminal(width=80)))
    high = golden.plain(frame(RUNS["failed"], Terminal(width=80, height=16), tail=tail)).splitlines()
    assert len(high) <= 16
    assert high[-2].strip() == "│ no font"
    assert high[-4].startswith("build[fmt=pdf,lang=de] failed: ValueError")
    assert "no font" not in golden.plain(frame(RUNS["failed"], Terminal(width=80, height=10), tail=tail))


def test_a_low_terminal_keeps_the_error_and_the_last_lines() -> None:
    run = RUNS["failed"]
    output = [b"first", b"second " * 30, b"last"]
    tail = list(failure_lines(run, run.bad_jobs[0], output, Terminal(width=80)))
    lines = golden.plain(frame(run, Terminal(width=80, height=15), tail=tail)).splitlines()
    assert len(lines) <= 15
    assert lines[-2].strip() == "│ last"
    assert not any("first" in line for line in lines)
    assert any(line.startswith("build[fmt=pdf,lang=de] failed: ") for line in lines)


def test_only_failed_jobs_of_a_run_without_any() -> None:
    text = golden.plain(run_lines(RUNS["running"], Terminal(width=80), failed_only=True))
    assert "\nno job has failed\n" in text


def test_a_long_remark_is_wrapped_in_the_live_view() -> None:
    lines = golden.plain(frame(RUNS["running"], Terminal(width=40, height=12), remark="waits for the run " * 4)).splitlines()
    assert len(lines) <= 12
    assert [line for line in lines if line.startswith("waits for")] == [
        "waits for the run waits for the run",
        "waits for the run waits for the run",
    ]


def test_a_frame_of_a_running_run() -> None:
    golden.check("live-running-80", golden.plain(frame(RUNS["running"], Terminal(width=80, height=10))))


def big_matrix(cells: int) -> RunView:
    """Return a run with a large matrix, every hundredth cell failed."""
    node = samples.node("shard", 3, matrix=True)
    made = samples.matrix_cells(0, 0, "shard", [{"n": str(index)} for index in range(cells)], ())
    plan = Plan(name="wide", nodes=(node, samples.node("end", 9)), cells=(*made, Cell(cells + 1, "end", 1, (Edge(cells),))))
    jobs = {
        index: samples.job(
            index, JobStatus.FAILED if index % 100 == 99 else JobStatus.FINISHED, at=0.0, took=1.0, reason="error"
        )
        for index in range(cells)
    }
    jobs[cells + 1] = samples.job(cells + 1, JobStatus.SKIPPED, reason="upstream_failed")
    return samples.view(plan, samples.run_record(RunStatus.FAILED, cells + 1, ended=3.0), jobs, {}, frozenset())


def test_a_large_matrix_is_folded_to_important_cells() -> None:
    lines = run_lines(big_matrix(10_000), Terminal(width=80))
    text = golden.plain(lines)
    assert len(lines) < 40
    assert "9900 finished, 100 failed" in text
    assert "[n=99]" in text
    assert "… 9988 more" in text


def test_a_finished_matrix_is_one_line() -> None:
    text = golden.plain(run_lines(big_matrix(50), Terminal(width=80)))
    assert "50 of 50" in text
    assert "[n=" not in text


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("abc", 3, "abc"),
        ("abcd", 3, "ab…"),
        ("abcd", 1, "…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
    ],
)
def test_cut_counts_cells(text: str, width: int, expected: str) -> None:
    assert cut(text, width) == expected


def test_fit_shortens_the_segment_that_crosses_the_limit() -> None:
    assert fit((("abc", "good"), ("def", "bad")), 4) == (("abc", "good"), ("…", "bad"))
    assert fit((("abc", "good"), ("def", "bad")), 6) == (("abc", "good"), ("def", "bad"))


def test_colour_is_only_written_on_request() -> None:
    assert paint((("ok", "good"), (" x", "")), color=True) == "\x1b[32mok\x1b[0m x"
    assert paint((("ok", "good"), (" x  ", "")), color=False) == "ok x"


def test_a_running_matrix_shows_running_cells_and_counts_the_rest() -> None:
    view = big_matrix(50)
    states = [JobStatus.FINISHED] * 20 + [JobStatus.STARTED] * 2 + [JobStatus.QUEUED] * 28
    cells = tuple(replace(job, status=status, reason=None) for job, status in zip(view.jobs, states, strict=False))
    run = replace(view, status=RunStatus.RUNNING, jobs=cells)
    text = golden.plain(run_lines(run, Terminal(width=80)))
    assert "20 finished, 2 running, 28 queued" in text
    assert [line.split()[2] for line in text.splitlines() if "[n=" in line] == ["[n=20]", "[n=21]"]
    assert "… 48 more" in text


def test_a_small_frame_counts_hidden_rows() -> None:
    lines = golden.plain(frame(RUNS["running"], Terminal(width=60, height=6))).splitlines()
    assert len(lines) == 5
    assert lines[-2].split(maxsplit=3)[:3] == ["…", "8", "more"]
    assert "finished" in lines[-2]
