"""Files beside a flow: paths, display and problems of sub-flows, files of variables and files of parameters."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowq.compiler import Compilation, compile_file, compile_text, render

LEAF = "params: {n: {type: integer, default: 1}}\njobs: {work: {run: 'echo ${{ params.n }}'}}\n"


def codes(result: Compilation) -> list[str]:
    return [item.code for item in result.diagnostics]


def messages(result: Compilation) -> str:
    return "\n".join(map(render, result.diagnostics))


def names(result: Compilation) -> list[str]:
    assert result.plan is not None, messages(result)
    return [cell.name for cell in result.plan.cells]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_path_of_a_sub_flow_is_relative_to_the_file_that_names_it(folder: Path) -> None:
    (folder / "flows" / "deep").mkdir(parents=True)
    (folder / "flows" / "top.yaml").write_text("jobs: {a: {flow: deep/middle.yaml}}")
    (folder / "flows" / "deep" / "middle.yaml").write_text("jobs: {b: {flow: ../leaf.yaml}}")
    (folder / "flows" / "leaf.yaml").write_text(LEAF)
    result = compile_file("flows/top.yaml")
    assert names(result) == ["a/@start", "a/b/@start", "a/b/work", "a/b", "a"]
    assert result.plan is not None
    work = result.plan.nodes[2]
    assert result.plan.file_of(work) == str(folder / "flows" / "leaf.yaml")
    assert result.plan.params_of(work) == {"n": 1}


def test_problems_in_a_sub_flow_are_shown_in_its_file(folder: Path) -> None:
    (folder / "flows").mkdir()
    (folder / "flows" / "top.yaml").write_text("jobs: {a: {flow: leaf.yaml}, b: {flow: ./leaf.yaml}}")
    (folder / "flows" / "leaf.yaml").write_text("jobs:\n  work: {runn: x}\n")
    result = compile_file("flows/top.yaml")
    assert [(item.file, item.line, item.code) for item in result.diagnostics] == [("flows/leaf.yaml", 2, "FQ101")], "told once"


def test_paths_in_a_text_without_a_file_are_relative_to_its_name(folder: Path) -> None:
    (folder / "leaf.yaml").write_text(LEAF)
    assert names(compile_text("jobs: {a: {flow: leaf.yaml, params: {n: 2}}}")) == ["a/@start", "a/work", "a"]


def test_a_pipe_does_not_block(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    assert codes(compile_text("dotenv: pipe.yaml\njobs: {a: {flow: pipe.yaml}}")) == ["FQ021", "FQ311"]


def test_a_flow_that_contains_itself_through_a_link_is_refused(folder: Path) -> None:
    (folder / "top.yaml").write_text("jobs: {a: {flow: ./x/../top.yaml}}")
    (folder / "x").mkdir()
    result = compile_file("top.yaml")
    assert codes(result) == ["FQ312"]
    assert "top.yaml -> top.yaml" in messages(result)


def test_a_link_to_itself_ends_at_the_maximal_depth(folder: Path) -> None:
    (folder / "f0.yaml").write_text("jobs: {a: {flow: f1.yaml}}")
    for number in range(1, 40):
        (folder / f"f{number}.yaml").write_text(f"jobs: {{a: {{flow: f{number + 1}.yaml}}}}")
    result = compile_file("f0.yaml")
    assert codes(result) == ["FQ311"]
    assert "20 levels" in messages(result)


def test_flows_of_flows_of_flows_are_bounded(folder: Path) -> None:
    for number in range(12):
        parts = ", ".join(f"p{part}: {{flow: f{number + 1}.yaml}}" for part in range(10))
        (folder / f"f{number}.yaml").write_text(f"jobs: {{{parts}}}")
    (folder / "f12.yaml").write_text(LEAF)
    start = time.process_time()
    result = compile_file("f0.yaml")
    assert result.plan is None
    assert time.process_time() - start < 20
    assert "FQ311" in codes(result)


def test_one_file_for_many_jobs(folder: Path) -> None:
    (folder / "leaf.yaml").write_text(LEAF)
    jobs = "".join(f"  j{number}: {{flow: leaf.yaml, params: {{n: {number}}}}}\n" for number in range(300))
    result = compile_text(f"jobs:\n{jobs}")
    assert result.plan is not None
    assert result.plan.scopes["j299/"] == {"n": 299}


def test_a_sub_flow_has_its_own_variables(folder: Path) -> None:
    (folder / "own.env").write_text("A=1\n")
    (folder / "leaf.yaml").write_text("dotenv: own.env\nenv: {B: b}\njobs: {work: {run: x}}\n")
    result = compile_text("env: {C: c}\njobs: {a: {flow: leaf.yaml}, d: {run: x}}")
    assert result.plan is not None
    assert {node.name: dict(node.env) for node in result.plan.nodes}["a/work"] == {"A": "1", "B": "b"}


PARAMS = "params: {day: {type: date}, n: {type: integer, default: 1}, s: {default: x}}\njobs: {a: {run: [x, '${{ to_json(params) }}']}}\n"


@pytest.mark.parametrize("text", ["day: 2026-01-31\nn: 3\n", '{"day": "2026-01-31", "n": 3}'])
def test_params_from_a_file(folder: Path, text: str) -> None:
    (folder / "flow.yaml").write_text(PARAMS)
    (folder / "params.yaml").write_text(text)
    result = compile_file("flow.yaml", params_file="params.yaml", params={"n": "4"})
    assert result.plan is not None, messages(result)
    assert result.plan.params == {"day": "2026-01-31", "n": 4, "s": "x"}, "what is given by hand wins"


def test_problems_of_a_file_of_params_are_at_its_lines(folder: Path) -> None:
    (folder / "flow.yaml").write_text(PARAMS)
    (folder / "params.yaml").write_text("day: tomorrow\nm: 3\ns: 7\n")
    result = compile_file("flow.yaml", params_file="params.yaml")
    assert [(item.file, item.line, item.code) for item in result.diagnostics] == [
        ("params.yaml", 1, "FQ203"),
        ("params.yaml", 2, "FQ201"),
        ("params.yaml", 3, "FQ203"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [("[1, 2]", "FQ022"), ("just text", "FQ022"), ("a: [", "FQ010"), ("_a: 1\n_a: 2", "FQ013"), ("a: \0", "FQ004")],
)
def test_an_invalid_file_of_params(folder: Path, text: str, code: str) -> None:
    (folder / "flow.yaml").write_text("params: {_a: {type: integer, required: false}}\njobs: {a: {run: x}}")
    (folder / "params.yaml").write_text(text)
    result = compile_file("flow.yaml", params_file="params.yaml")
    assert codes(result) == [code]
    assert result.diagnostics[0].file == "params.yaml"
    assert result.plan is None


def test_an_empty_file_of_params_gives_none(folder: Path) -> None:
    (folder / "flow.yaml").write_text("jobs: {a: {run: x}}")
    (folder / "params.yaml").write_text("\n")
    assert compile_file("flow.yaml", params_file="params.yaml").ok


def test_a_missing_file_of_params(folder: Path) -> None:
    (folder / "flow.yaml").write_text("jobs: {a: {run: x}}")
    assert codes(compile_file("flow.yaml", params_file="nothing.yaml")) == ["FQ001"]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"), ("A = b ", "b"), ("export A=b", "b"), ("A=", ""), ("A='x y'", "x y"), ("A='$HOME'", "$HOME"), ('A="a\\tb"', "a\tb"), ('A="\\x"', "\\x"),
        ("A=b # c", "b"), ("A=b#c", "b#c"), ("A='b' # c", "b"), ("A=${B}", "${B}"), ("A=${{ x }}", "${{ x }}"), ("A=é", "é"), ("A=#c", ""),
    ],
)  # fmt: skip
def test_lines_of_dotenv(folder: Path, line: str, value: str) -> None:
    (folder / ".env").write_text(f"\n# first\n{line}\n")
    result = compile_text("dotenv: .env\njobs: {a: {run: x}}")
    assert result.plan is not None, messages(result)
    assert result.plan.nodes[0].env == {"A": value}


@pytest.mark.parametrize(
    "path", ["a\\0b", "/", ".", "/dev/null", "/dev/zero", "~/x.yaml", "x" * 5000, "é", "-", "a b", "?", "a?"]
)
def test_odd_paths_give_diagnostics(folder: Path, path: str) -> None:
    assert "FQ311" in codes(compile_text(f'jobs: {{a: {{flow: "{path}"}}}}')), "none of them is a file"
    for item in compile_text(f'dotenv: "{path}"\njobs: {{a: {{run: x}}}}').diagnostics:
        assert item.code == "FQ021"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet="AB_1= '\"\\#$\n\texportFLOWQ{}é", max_size=60))
def test_any_file_of_variables(folder: Path, text: str) -> None:
    (folder / "x.env").write_text(text)
    result = compile_text("dotenv: x.env\njobs: {a: {run: x}}")
    assert result.ok or {item.code for item in result.diagnostics} <= {"FQ021", "FQ115"}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60))
def test_any_bytes_as_a_sub_flow(folder: Path, data: bytes) -> None:
    for name in ("x.yaml", "x.env"):
        (folder / name).write_bytes(data)
    result = compile_text("dotenv: x.env\njobs: {a: {flow: x.yaml}}")
    assert not result.ok
    assert messages(result)


@pytest.mark.parametrize("length", [200, 249, 251, 255, 256, 5000])
@pytest.mark.parametrize("suffix", [".env", ".yaml", ".yml"])
def test_a_file_name_of_maximal_length(folder: Path, length: int, suffix: str) -> None:
    name = "n" * (length - len(suffix)) + suffix
    problems = [
        compile_text(text, file=str(folder / "flow.yaml")).diagnostics
        for text in (
            f"dotenv: {name}\njobs: {{a: {{run: x}}}}",
            f"jobs: {{a: {{flow: {name}}}}}",
            f"jobs: {{a: {{call: '{name[:-5]}:f'}}}}",
        )
    ]
    problems.append(compile_file(folder / name).diagnostics)
    assert all(len(found) == 1 for found in problems[:2] + problems[3:])
