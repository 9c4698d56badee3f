"""`flowq result --csv`: the results of a matrix or foreach as a table."""

import json
from pathlib import Path

import pytest

from flowq.cli.render.result_table import results_csv
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.plan import Json, Plan
from flowq.store import Store
from tests.cli.conftest import Cli
from tests.cli.manual_worker import HandWorker


def compiled(text: str) -> Plan:
    made = compile_text(text).plan
    assert made is not None
    return made


SWEEP = "jobs: {a: {matrix: {rate: [0.1, 0.5], kind: [x, y]}, run: x}, b: {depends_on: {a: done}, run: x}}"


def test_a_table_of_a_matrix(cli: Cli, store: Store, tmp_path: Path) -> None:
    worker = HandWorker(store, "default")
    submit(store, compiled(SWEEP), directory=tmp_path)
    for number in range(4):
        claim = worker.claim()
        if number == 1:
            worker.fail(claim, "boom")
        else:
            worker.finish(claim, json.dumps({"error": number / 2, "note": 'a "b", c'}).encode())
    told = cli("result", "a", "--csv")
    assert told.out.splitlines() == [
        "rate,kind,error,note",
        '0.1,x,0.0,"a ""b"", c"',
        "0.1,y,,",
        '0.5,x,1.0,"a ""b"", c"',
        '0.5,y,1.5,"a ""b"", c"',
    ]
    refused = cli("result", "b", "--csv")
    assert (refused.code, refused.err) == (2, "error: --csv is for the results of a matrix or foreach, and 'b' is none\n")
    worker.close()


@pytest.mark.parametrize(
    ("results", "lines"),
    [
        ([{"rate": 0.1, "n": 1}] * 2 + [{"rate": 0.5}, None], ["rate,kind,n", "0.1,x,1", "0.1,y,1", "0.5,x,", "0.5,y,"]),
        ([{"kind": 1}] * 4, ["rate,kind,result.kind", "0.1,x,1", "0.1,y,1", "0.5,x,1", "0.5,y,1"]),
        ([3, [1], "t\x1b", True], ["rate,kind,result", "0.1,x,3", "0.1,y,[1]", "0.5,x,t\\x1b", "0.5,y,true"]),
        ([None, 7], ["index,result", "0,", "1,7"]),  # of a foreach
        ([], []),
    ],
    ids=["repeated axis", "another value", "no maps", "foreach", "nothing"],
)
def test_fields(results: list[Json], lines: list[str]) -> None:
    assert results_csv(compiled(SWEEP), "a", results).splitlines() == lines
