"""Untrusted text never reaches a terminal unescaped."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowq.cli.follow.live_display import frame
from flowq.cli.render.run_table import run_lines
from flowq.cli.terminal import Terminal
from flowq.flows.views.text import safe, safe_bytes, safe_json, safe_line
from flowq.plan import Action, Cell, Node, Plan
from flowq.states import JobStatus, RunStatus
from tests.cli import golden, samples

HOSTILE = (
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;aGk=\x07",
    "\x1bP$q\x1b\\",
    "\x1b[6n",
    "\x1b[2J",
    "safe\rroot",
    "a\x08b",
    "\x9b31mred",
    "\x7f",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "zero\u200bwidth\ufeff",
    "line\u2028sep\u2029",
    "\ud800",
    "\U000e0041tag",
    "new\nline",
    "tab\there",
)


def is_harmless(text: str) -> bool:
    """Return whether the text has no control or invisible characters but newline and tab."""
    return all(char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_escapes(text: str) -> None:
    assert is_harmless(safe(text))
    assert is_harmless(safe_line(text))
    assert "\n" not in safe_line(text)


def test_escapes_are_readable() -> None:
    assert safe("\x1b[2J\r\x9b\u202e\U000e0041") == "\\x1b[2J\\r\\x9b\\u202e\\U000e0041"
    assert safe_line("a\nb\tc") == "a\\nb\\tc"
    assert safe("plain é 日本 👍\n\tkept") == "plain é 日本 👍\n\tkept"


def test_bytes_that_are_not_utf8() -> None:
    assert safe_bytes(b"ok\xff\x1b[31m") == "ok\\xff\\x1b[31m"


@given(st.text())
def test_safe_leaves_no_control_characters(text: str) -> None:
    assert not any(ord(char) < 32 and char not in "\n\t" for char in safe(text))
    assert not any(0x7F <= ord(char) <= 0x9F for char in safe(text))
    assert all(
        unicodedata.bidirectional(char) not in {"RLO", "LRO", "RLE", "LRE", "PDF", "RLI", "LRI", "FSI", "PDI"}
        for char in safe(text)
    )


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_safe_json_parses_to_the_same_value(value: object) -> None:
    text = safe_json(value, indent=2)
    assert json.loads(text) == value
    assert not any((ord(char) < 32 and char != "\n") or 0x7F <= ord(char) <= 0x9F for char in text)


@pytest.mark.parametrize("text", HOSTILE)
def test_names_and_errors_in_tables_are_harmless(text: str) -> None:
    node = Node(name=text, line=1, action=Action(kind="shell", script=text), queue=text, timeout=None)
    plan = Plan(name=text, nodes=(node, node), cells=(Cell(0, text, 0), Cell(1, text, 1)), file=text)
    jobs = {
        0: samples.job(0, JobStatus.FAILED, at=0.0, took=1.0, reason=text),
        1: samples.job(1, JobStatus.QUEUED, queue=text),
    }
    view = samples.view(plan, samples.run_record(RunStatus.RUNNING, 2), jobs, {0: text}, frozenset({text}))
    for lines in (run_lines(view, Terminal(width=None)), frame(view, Terminal(width=80, height=20), remark=text)):
        shown = golden.plain(lines)
        assert is_harmless(shown), ascii(shown)
