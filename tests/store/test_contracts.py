"""The headers of the Lua files are the table of transitions."""

import pytest

from flowq.states import TRANSITIONS
from flowq.store import scripts

NAMES = scripts.transition_names()


def test_every_transition_of_the_table_has_its_file() -> None:
    assert set(TRANSITIONS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_states_the_edges_of_the_table(name: str) -> None:
    assert scripts.read_header(name).edges == TRANSITIONS.get(name, frozenset())


@pytest.mark.parametrize("name", NAMES)
def test_a_header_is_a_whole_contract(name: str) -> None:
    header = scripts.read_header(name)
    assert header.summary
    assert header.args
    assert header.guard
    assert header.replies


def test_a_script_is_composed_once_of_each_fragment() -> None:
    text = scripts.load("step").text
    for line in ("function L.finish()", "function L.claim(", "function L.end_job(", "function L.set_status("):
        assert text.count(line) == 1
