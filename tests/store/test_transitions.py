"""The headers of the Lua files agree with the table of transitions."""

import re

import pytest

from flowq.states import ENDED, TRANSITIONS
from flowq.store.client import scripts
from flowq.store.schema.constants import with_constants
from flowq.store.schema.keys import with_keys

NAMES = scripts.transition_names()


def test_every_transition_of_the_table_has_its_file() -> None:
    assert set(TRANSITIONS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_states_the_edges_of_the_table(name: str) -> None:
    assert scripts.read_header(name).edges == TRANSITIONS.get(name, frozenset())


@pytest.mark.parametrize("name", NAMES)
def test_a_header_is_a_complete_contract(name: str) -> None:
    header = scripts.read_header(name)
    assert header.summary
    assert header.args
    assert header.guard
    assert header.replies


def test_a_script_is_composed_once_of_each_fragment() -> None:
    text = scripts.load("worker/exchange").text
    for line in ("function L.finish()", "function L.claim(", "function L.end_job(", "function L.set_status("):
        assert text.count(line) == 1


def test_keys_are_literals() -> None:
    assert with_keys("call('GET', K.plan(run))") == "call('GET', (NS .. 'plan:' .. run))"
    assert with_keys("K.queues()") == "(NS .. 'queues')"
    assert with_keys("K.registry(f(a, ')'), b or '-')") == "(NS .. 'registry:' .. (f(a, ')')) .. ':' .. (b or '-'))"
    assert with_keys("K.job(call('GET', K.plan(x)))") == "(NS .. 'job:' .. (call('GET', (NS .. 'plan:' .. x))))"
    with pytest.raises(AssertionError, match="takes 1 argument"):
        with_keys("K.job(a, b)")
    with pytest.raises(KeyError):
        with_keys("K.nothing(a)")


def test_constants_are_literals() -> None:
    assert with_constants("local ttl = D.RESULT_TTL -- default") == "local ttl = 500000 -- default"
    with pytest.raises(KeyError):
        with_constants("D.NOTHING")


def test_lua_has_the_ended_statuses_of_the_table() -> None:
    (table,) = re.findall(r"^local ENDED = \{ (.*) \}$", scripts._text("lib/status"), re.MULTILINE)
    assert set(re.findall(r"(\w+) = true", table)) == set(ENDED)


@pytest.mark.parametrize("name", scripts._names())
def test_a_file_calls_no_local_function_of_another(name: str) -> None:
    """They are in the same script, so that it would work there, and in blocks of their own in the library."""

    def defined(file: str, indent: str = "") -> set[str]:
        return set(re.findall(rf"^{indent}local function (\w+)", scripts._text(file), re.MULTILINE))

    everywhere = {"lib/prelude", "lib/incarnation"}
    others = set().union(*(defined(file) for file in scripts._names() if file not in everywhere))
    called = set(re.findall(r"(?<![.\w])(\w+)\(", re.sub("--.*", "", scripts._text(name))))
    assert (called & others) - defined(name, " *") == set()
