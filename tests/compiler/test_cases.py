"""Golden cases: each flow in `cases/` gives exactly the text beside it. `FLOWQ_UPDATE_CASES=1` writes the texts anew; read the difference.

Comments on top of a case give what the compiler is called with: `# params: {json}` and `# date: 2026-01-31`. What is in `cases/parts/` are
the files that cases use: sub-flows and files of variables; modules beside the cases are what their jobs call.
"""

import json
import os
import re
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from flowq.compiler import Code, Compilation, compile_text, render

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
ELSEWHERE = {
    *(Code.UNREADABLE, Code.TOO_LARGE, Code.NOT_UTF8, Code.CONTROL_CHARACTER),  # test_source.py: they are about bytes
    Code.PARAMS_FILE,  # test_files.py
}


def compiled(path: Path) -> Compilation:
    text = path.read_text(encoding="utf-8")
    head = dict(re.findall(r"^# (params|date): (.*)$", text, re.MULTILINE))
    params = json.loads(head.get("params", "{}"))
    with chdir(path.parent):
        return compile_text(text, name=path.name, params=params, date=head.get("date"), file=str(path))


def outcome(result: Compilation) -> str:
    parts = [render(item) for item in result.diagnostics]
    if result.plan is not None:
        parts.append(json.dumps(json.loads(result.plan.to_json()), indent=1, ensure_ascii=False))
    return "\n".join(parts).replace(f"{Path(__file__).parent / 'cases'}/", "") + "\n"


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    found = outcome(compiled(path))
    expected = path.with_suffix(".expected")
    if os.environ.get("FLOWQ_UPDATE_CASES"):
        expected.write_text(found, encoding="utf-8")
    assert found == expected.read_text(encoding="utf-8")


def test_the_python_parser_gives_the_same_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML without its C part words its errors differently; what is right must stay the same."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    for path in CASES:
        result = compiled(path)
        if result.plan is not None:
            assert outcome(result) == path.with_suffix(".expected").read_text(encoding="utf-8"), path.name
        else:
            assert path.with_suffix(".expected").read_text(encoding="utf-8").startswith((path.name, "parts/")), path.name


def test_there_is_a_plan_exactly_when_there_is_no_error() -> None:
    for path in CASES:
        result = compiled(path)
        assert (result.plan is None) == any(item.severity == "error" for item in result.diagnostics), path.name


def test_every_code_has_a_case() -> None:
    text = "".join(path.with_suffix(".expected").read_text(encoding="utf-8") for path in CASES)
    assert {code for code in Code if f"[{code}]" not in text} == ELSEWHERE


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200
