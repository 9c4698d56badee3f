"""Names of cells: the name that is shown can be typed, whatever the values of the cell are."""

import json
import re
import shlex
from pathlib import Path
from unicodedata import normalize

import pytest

from flowq.cli.main import run
from flowq.flows.views.text import safe_line

FLOW = r"""
name: names
jobs:
  m:
    matrix: {x: [1, "1", true, "true", null, "null", "a,b=c", "p'q \"r\"", "two\tcolumns", "two\\tcolumns", plain,
        "caf\u00e9", "cafe\u0301", "\u212b", "a\u00a0b", "a b", "a\u3000c", "z\u200b", "z", "z\u3164", "z\\u3164", "\u2764", "\u2764\ufe0f"]}
    run: "echo 'I am' ${{ to_json(matrix.x) }}; test -e mended"
  pair:
    matrix: {include: [{a: "1,b=2", b: "3"}, {a: "1", b: "2,b=3"}]}
    run: "echo 'I am' ${{ to_json(matrix.a) }}; test -e mended"
  part:
    matrix: {x: [1, "1"]}
    flow: part.yaml
    params: {x: "${{ to_json(matrix.x) }}"}
  each:
    foreach: "${{ [1, '1'] }}"
    run: "echo 'I am' ${{ to_json(item) }}; test -e mended"
"""
PART = """
params: {x: {type: string}}
jobs:
  job: {run: "echo 'I am' ${{ to_json(params.x) }}; test -e mended"}
"""
SOME = [
    'm[x="1"]',
    "m[x=1]",
    "m[x=a,b=c]",
    "m[x=plain]",
    'm[x="two\\tcolumns"]',
    'm[x="two\\\\tcolumns"]',
    'm[x="caf\\u00e9"]',
    'm[x="cafe\\u0301"]',
    'm[x="a\\u00a0b"]',
    "m[x=a\u3000c]",
    "m[x=z\\u200b]",
    "m[x=z]",
    'm[x="z\\\\u3164"]',
    'm[x="\\u2764\\ufe0f"]',
    'part[x="1"]/job',
    "each[1]",
]


def test_every_cell_is_reached_by_its_name(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def flowq(*arguments: str) -> str:
        capfd.readouterr()
        run(arguments)
        return capfd.readouterr().out

    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "part.yaml").write_text(PART)
    assert run(["run", "flow.yaml"]) == 1
    document = json.loads(flowq("status", "--json"))
    names = [safe_line(job["name"]) for job in document["jobs"]]
    assert len(set(names)) == 29
    assert len({normalize("NFC", name).replace("\xa0", " ").replace("\ufe0f", "") for name in names}) == 29, (
        "all look different"
    )
    assert set(SOME) <= set(names)
    said = {}
    for name in names:
        (said[name],) = re.findall(r"I am (.*)", flowq("logs", document["id"], name))
        assert safe_line(json.loads(flowq("why", document["id"], name, "--json"))["name"]) == name
        retried = json.loads(flowq("retry", document["id"], "--job", name, "--only", "--dry-run", "--json"))
        assert [safe_line(job["name"]) for job in retried["jobs"]] == [name]
        other = normalize("NFD", name).replace("\u3000", " ")  # as other keyboards and file names have it
        assert safe_line(json.loads(flowq("why", document["id"], other, "--json"))["name"]) == name
    assert len({text for name, text in said.items() if name.startswith("m[")}) == 23, "each cell has its own log"
    (tmp_path / "mended").touch()
    assert run(["retry", document["id"], "--job", names[0], "--job", names[1], "--only"]) == 1
    assert json.loads(flowq("status", "--json"))["counts"] == {"finished": 2, "failed": 27}


def test_proposed_commands_work(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "flow.yaml").write_text("jobs:\n  m: {matrix: {x: [1, '1', \"p'q \\t\"]}, run: exit 3}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    assert run(["run", "flow.yaml"]) == 1
    commands = re.findall(r"(flowq logs .*?)  # ", capfd.readouterr().out)
    assert len(commands) == 3
    assert [run(shlex.split(command)[1:]) for command in commands] == [0, 0, 0]


def test_a_part_of_the_values_names_the_cells_that_have_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def flowq(*arguments: str, code: int = 0) -> str:
        capfd.readouterr()
        assert run(arguments) == code
        out, err = capfd.readouterr()
        return err if code else out

    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(
        "jobs:\n"
        "  m:\n"
        '    matrix: {include: [{name: a, os: x, n: 1, t: "p,q"}, {name: b, os: x, n: 2}, {name: b, os: y, n: "1"}]}\n'
        '    run: \'echo "{\\"n\\": ${{ to_json(matrix.n) }}}" >> "$FLOWQ_OUTPUT"\'\n'
    )
    assert "2 of 3 jobs: 2 finished" in flowq("run", "flow.yaml", "--job", "m[os=x]")
    flowq("run", "flow.yaml")
    assert "m[name=b,os=y,n=1] finished" in flowq("why", "m[os=y]")
    assert json.loads(flowq("result", "m[name=a]")) == {"n": 1}
    assert json.loads(flowq("result", 'm[t="p,q"]')) == {"n": 1}
    assert json.loads(flowq("result", 'm[name=b,n="1"]')) == {"n": "1"}, "in any spelling"
    several = flowq("why", "m[name=b]", code=2)
    assert "'m[name=b]' is 2 cells, name one: m[name=b,os=x,n=2], m[name=b,os=y,n=1]" in several
    assert "is 2 cells" in flowq("result", "m[os=x]", code=2)
    plan = json.loads(flowq("retry", "--job", "m[name=b]", "--only", "--dry-run", "--json"))
    assert len(plan["jobs"]) == 2
    assert "did you mean 'm[name=b,os=y,n=1]'?" in flowq("why", "m[name=b,os=y,n=4]", code=2)
    nothing = flowq("why", "m[os=z]", code=2)
    assert "has no job 'm[os=z]'; its cells: m[name=a,os=x,n=1,t=p,q], m[name=b,os=x,n=2], m[name=b,os=y,n=1]" in nothing


def test_an_allowed_failure_is_no_finished_cell(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flow.yaml").write_text(
        'jobs: {m: {matrix: {include: [{of: a name that is cut in a terminal of eighty, code: 0}, {of: a name that is cut in a terminal of eighty, code: 2}]}, run: "exit ${{ matrix.code }}",'
        " allow_failure: true}}\n"
    )
    assert run(["run", "flow.yaml"]) == 0
    capfd.readouterr()
    assert run(["why", "m"]) == 0
    said = capfd.readouterr().out.splitlines()
    assert said[0].startswith("✔ m finished: 1 of 2 cells failed, which is allowed")
    assert "m[of=a name that is cut in a terminal of eighty,code=2] failed: exit code 2" in said[1]
    assert run(["plan", "flow.yaml", "--no-history"]) == 0
    planned = capfd.readouterr().out
    assert [f"m[of=a name that is cut in a terminal of eighty,code={code}]  " in planned for code in (0, 2)] == [True, True], (
        "a pipe has no width"
    )
