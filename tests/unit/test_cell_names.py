"""Names of cells differ for people: a random test over characters that look the same, are invisible or are escapes of each other."""

import itertools
import json
import random
import sys

import pytest

from flowq.flows.views.text import safe_line
from flowq.plan.cell_names import cell_name, look, spellings
from flowq.plan.records import Action, Cell, Edge, Node
from flowq.plan.stored import cell_from_json, cell_to_json

PIECES = (
    "e",
    "\u0301",
    "\u00e9",
    "\\u00e9",
    '"',
    "\\",
    ",",
    "y=",
    "=",
    "{",
    " ",
    "\u00a0",
    "\u200b",
    "\\u200b",
    "\t",
    "\\t",
    "1",
    "\ufe0f",
    "\u3164",
    "]",
)


def test_what_is_shown_as_an_escape_looks_like_it() -> None:
    escaped = {char: shown for char in map(chr, range(sys.maxunicode + 1)) if (shown := safe_line(char)) != char}
    assert {char: look(char) for char in escaped} == escaped


@pytest.mark.parametrize("seed", range(20))
def test_all_names_of_a_matrix_look_different(seed: int) -> None:
    choice = random.Random(seed)
    values = ["".join(choice.choices(PIECES, k=choice.randint(0, 3))) for _ in range(60)] + [
        1,
        "1",
        1.5,
        None,
        "null",
        True,
        [1],
        "[1]",
    ]
    cells = [
        {"x": first} if other is None else {"x": first, "y": other}
        for first, other in itertools.zip_longest(values, values[20:40])
    ]
    cells = list({json.dumps(cell): cell for cell in cells}.values())
    kinds = spellings(cells)
    names = [cell_name("job", cell, kind) for cell, kind in zip(cells, kinds, strict=True)]
    assert len(set(map(look, names))) == len(cells)
    assert all(name.startswith("job[") for name in names)
    node = (Node(Action("run"), "default", 60, name="job", line=1),)
    for ordinal, (cell, kind, name) in enumerate(zip(cells, kinds, names, strict=True)):
        stored = Cell(ordinal, name, 0, (Edge(0),), cell, spelling=kind)
        assert cell_from_json(ordinal, cell_to_json(stored), node) == stored
