"""`notify` of flowq.toml: messages about the runs of all flows of a project."""

from pathlib import Path

import pytest

from flowq.compiler import Compilation, compile_file
from flowq.plan.notice import Notice

FLOW = "jobs: {a: {run: 'true'}}\n"
ALL = '[[notify]]\non = ["failed", "recovered"]\nto = {env = "OPS"}\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "etl").mkdir()
    (tmp_path / "etl" / "load.yaml").write_text(FLOW)
    return tmp_path


def compiled(project: Path, settings: str, flow: str = FLOW, name: str = "flowq.toml") -> Compilation:
    (project / name).write_text(settings)
    (project / "etl" / "load.yaml").write_text(flow)
    return compile_file(project / "etl" / "load.yaml")


def problems(found: Compilation) -> list[tuple[int, int, str, str]]:
    return [(item.line, item.column, item.code, item.message) for item in found.diagnostics]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("flowq.toml", ALL),
        ("flowq.toml", 'notify = {on = ["failed", "recovered"], to = {env = "OPS"}}\n'),
        ("pyproject.toml", '[[tool.flowq.notify]]\non = ["failed", "recovered"]\nto = {env = "OPS"}\n'),
    ],
)
def test_they_are_those_of_every_flow_below_it(project: Path, name: str, settings: str) -> None:
    found = compiled(project, settings, name=name)
    assert found.plan is not None
    assert found.notify == found.plan.notify == (Notice(on=("failed", "recovered"), to={"env": "OPS"}),)
    assert str(project / name) in found.files


def test_a_flow_has_its_own_too_and_each_once(project: Path) -> None:
    both = "notify:\n- {on: waiting, to: {env: BOSS}}\n- {on: [failed, recovered], to: {env: OPS}}\n"
    assert [item.address for item in compiled(project, ALL, both + FLOW).notify] == ["$BOSS", "$OPS"]


def test_a_sub_flow_does_not_repeat_them(project: Path) -> None:
    (project / "etl" / "part.yaml").write_text(FLOW)
    found = compiled(project, ALL, "jobs: {a: {flow: part.yaml}}\n")
    assert (len(found.notify), found.diagnostics) == (1, ())


def test_paths_are_relative_to_the_settings_file(project: Path) -> None:
    found = compiled(project, 'notify = {on = "failed", to = {file = "url"}, secret = {file = "keys/ops"}}\n')
    (notice,) = found.notify
    assert (notice.to, notice.secret) == ({"file": f"{project}/url"}, {"file": f"{project}/keys/ops"})


def test_the_nearest_settings_count(project: Path) -> None:
    (project / "etl" / "flowq.toml").write_text('namespace = "etl"\n')
    assert compiled(project, ALL).notify == ()


@pytest.mark.parametrize(
    ("settings", "line", "column", "code", "message"),
    [
        ('namespace = "x"\n[[notify]]\non = ["faild"]\nto = {env = "OPS"}\n', 3, 1, "FQ103", "on: unknown value 'faild'"),
        (ALL + "\n[[ notify ]]\n  on = 3\n" + '  to = {env = "OPS"}\n', 6, 3, "FQ102", "on: expected an event such as failed"),
        (ALL + '[[notify]]\non = "failed"\n', 5, 1, "FQ104", "notify needs the key `to`"),
        ('notify = [\n  {on = "failed", to = {env = "A"}},\n  {on = "x", to = {env = "B"}},\n]\n', 3, 3, "FQ103", "on: unknown value"),
        ('notify = {on = "failed", to = {env = "A"}, message = "${{ params.x }}"}\n', 1, 1, "FQ402", "there is no param `x`"),
        ('notify = {on = "failed", to = {env = "A"}, slow = "5m"}\n', 1, 1, "FQ808", "`slow` has no effect"),
        ("notify = 3\n", 1, 1, "FQ102", "expected an entry such as"),
        ("notify = []\n", 1, 1, "FQ103", "notify is an empty list"),
        ("[notify]\nwhen = 2026-01-01\n", 2, 1, "FQ101", "unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_at_its_line(project: Path, settings: str, line: int, column: int, code: str, message: str) -> None:
    found = compiled(project, settings)
    assert found.plan is None
    assert any(told[:3] == (line, column, code) and message in told[3] for told in problems(found)), problems(found)
    assert {item.file for item in found.diagnostics} == {str(project / "flowq.toml")}


@pytest.mark.parametrize("key", ["to", "secret", "url", "to = 3\nmessage"])
def test_an_address_that_stands_there_by_mistake_is_not_repeated(project: Path, key: str) -> None:
    from flowq.compiler import render

    found = compiled(project, f'[[notify]]\non = "failed"\n{key} = "https://chat.example/canary"\n')
    assert found.plan is None
    assert "canary" not in "".join(map(render, found.diagnostics)).replace("message", "")


@pytest.mark.parametrize(("settings", "said"), [("notify = 'x\n", "is not valid TOML"), ("foo = 1\n", "unknown key 'foo'")])
def test_settings_that_cannot_be_read_are_a_problem_of_the_flow(project: Path, settings: str, said: str) -> None:
    (told,) = problems(compiled(project, settings))
    assert (told[2], said in told[3]) == ("FQ810", True)
