"""Golden cases: each `cases/<stage>/<case>/flow.yaml` compiles to exactly the texts beside it.

`expected.txt` has the diagnostics, `plan.json` the plan if the case is about it. `FLOWQ_UPDATE_CASES=1` rewrites them; read the difference.
Comments at the top of a case give the arguments of the compiler: `# params: {json}` and `# date: 2026-01-31`. Sub-flows and files of
variables of a case are in its `parts/`; the modules that jobs call are in `cases/calls/modules/`.
"""

import json
import os
import re
from contextlib import chdir
from pathlib import Path

import pytest
import yaml

from flowq.compiler import Code, Compilation, compile_text, render

ROOT = Path(__file__).parent / "cases"
MODULES = ROOT / "calls" / "modules"
CASES = sorted(ROOT.glob("*/*/flow.yaml"))
ELSEWHERE = {
    *(Code.UNREADABLE, Code.TOO_LARGE, Code.NOT_UTF8, Code.CONTROL_CHARACTER),  # in test_source.py: these are about bytes
    Code.PARAMS_FILE,  # test_files.py
    Code.TRIGGER_CYCLE,  # tests/cli/test_validate_directory.py: it is about several files
    Code.PROJECT,  # test_project_notices.py: it is about flowq.toml
    Code.NO_SCHEDULE,  # test_schedules.py: the entry of a run is no part of the file
}


def compiled(path: Path, changed: str | None = None) -> Compilation:
    """Compile a case, or a changed text in its place."""
    text = path.read_text(encoding="utf-8") if changed is None else changed
    head = dict(re.findall(r"^# (params|date): (.*)$", text, re.MULTILINE))
    params = json.loads(head.get("params", "{}"))
    with chdir(MODULES):
        return compile_text(text, name=path.name, params=params, date=head.get("date"), file=str(path))


def diagnostics(result: Compilation) -> str:
    return "".join(f"{render(item)}\n" for item in result.diagnostics)


def plan(result: Compilation, path: Path) -> str:
    if result.plan is None:
        return ""
    text = json.dumps(json.loads(result.plan.to_json()), indent=1, ensure_ascii=False)
    return text.replace(f"{path.parent}/", "") + "\n"


def texts(path: Path) -> tuple[str, str | None]:
    """Return the expected diagnostics, and the plan if the case is about it."""
    said, made = path.with_name("expected.txt"), path.with_name("plan.json")
    return (
        said.read_text(encoding="utf-8") if said.exists() else "",
        made.read_text(encoding="utf-8") if made.exists() else None,
    )


def update(path: Path, result: Compilation) -> None:
    if result.diagnostics:
        path.with_name("expected.txt").write_text(diagnostics(result), encoding="utf-8")
    else:
        path.with_name("expected.txt").unlink(missing_ok=True)
        path.with_name("plan.json").write_text(plan(result, path), encoding="utf-8")


def check(path: Path, result: Compilation) -> None:
    said, made = texts(path)
    assert diagnostics(result) == said
    if made is not None:
        assert plan(result, path) == made


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.parent.name}/{path.parent.name}")
def test_case(path: Path) -> None:
    result = compiled(path)
    if os.environ.get("FLOWQ_UPDATE_CASES"):
        update(path, result)
    check(path, result)


def test_the_python_parser_gives_the_same_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML without its C part has other error messages, but valid files must give the same plans."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    for path in CASES:
        result = compiled(path)
        if result.plan is not None:
            check(path, result)
        else:
            assert texts(path)[0].startswith(("flow.yaml", "parts/")), path.parent.name


def test_there_is_a_plan_exactly_if_there_is_no_error() -> None:
    for path in CASES:
        result = compiled(path)
        assert (result.plan is None) == any(item.severity == "error" for item in result.diagnostics), path.parent.name


def test_every_code_has_a_case() -> None:
    text = "".join(texts(path)[0] for path in CASES)
    assert {code for code in Code if f"[{code}]" not in text} == ELSEWHERE


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 200


def test_every_case_has_an_expectation() -> None:
    assert [path for path in CASES if texts(path) == ("", None)] == []
