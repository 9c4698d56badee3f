"""Every input gives a plan or diagnostics, in bounded time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.compiler import Compilation, compile_text, render

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 40)
)


def shown(result: Compilation) -> str:
    assert (result.plan is None) == any(item.severity == "error" for item in result.diagnostics)
    return "\n".join(map(render, result.diagnostics))


LAUGHS = (
    "params:\n  p0: {type: list, default: [x, x, x]}\n"
    + "".join(f'  p{n}: {{type: list, default: "${{{{ [{", ".join([f"params.p{n - 1}"] * 10)}] }}}}"}}\n' for n in range(1, 30))
    + "jobs: {a: {run: x}}"
)

HARD = {
    "params made of params": (LAUGHS, "FQ409"),
    "params made of all params": (
        "params:\n  p0: {type: list, default: [x, x, x]}\n"
        + "".join(f'  p{n}: {{type: map, default: "${{{{ params }}}}"}}\n' for n in range(1, 60))
        + "jobs: {a: {run: x}}",
        "FQ409",
    ),
    "many long params": (
        f"params:\n  p0: {{default: {'x' * 1_000_000}}}\n"
        + "".join(f'  p{n}: {{default: "${{{{ lower(params.p0) }}}}"}}\n' for n in range(1, 500))
        + "jobs: {a: {run: x}}",
        "FQ409",
    ),
    "many long lists": (
        "jobs: {a: {run: x, queue: '${{ [" + ", ".join(["range(100000)"] * 190) + "] }}'}}",
        "FQ409",
    ),
    "nested lists": ("[" * 100_000, "FQ011"),
    "nested maps": ("{a: " * 10_000, "FQ011"),
    "nested blocks": ("".join(" " * level + "a:\n" for level in range(300)), "FQ011"),
    "alias bomb": (BOMB, "FQ012"),
    "aliases of aliases": ("x0: &x0 [1]\n" + "".join(f"x{n}: &x{n} [*x{n - 1}]\n" for n in range(1, 200)), "FQ011"),
    "merged merges": (
        "m0: &m0 {"
        + ", ".join(f"k{n}: 1" for n in range(5000))
        + "}\n"
        + "".join(f"m{n}: &m{n} {{<<: *m{n - 1}}}\n" for n in range(1, 2000)),
        "FQ012",
    ),
    "a value in itself": ("jobs: &a [*a]", "FQ017"),
    "digits": ("a: " + "9" * 100_000, "FQ016"),
    "many unknown keys": ("".join(f"k{n}: {n}\n" for n in range(50_000)), "FQ101"),
    "a long line": ('a: "' + "x" * 3_000_000 + '"', "FQ101"),
    "an endless expression": ("jobs: {a: {run: 'echo ${{ " + "(" * 4000 + "1" + ")" * 4000 + " }}'}}", "FQ401"),
    "many negations": ("jobs: {a: {run: 'echo ${{ " + "!" * 900 + "true }}'}}", "FQ401"),
    "many terms": ("jobs: {a: {if: '" + "true && " * 300 + "true', run: x}}", "FQ401"),
    "nested substitutions": ("jobs: {a: {run: '" + "echo $(" * 3000 + "${{ run.id }}" + ")" * 3000 + "'}}", "FQ501"),
    "many refused holes": ('jobs: {a: {run: "' + "'${{ run.id }}' " * 5000 + '"}}', "FQ501"),
    "a huge matrix": (
        "jobs: {a: {run: x, matrix: {" + ", ".join(f"a{n}: [{', '.join(map(str, range(50)))}]" for n in range(20)) + "}}}",
        "FQ305",
    ),
    "many unknown jobs": ("jobs:\n" + "".join(f"  j{n}: {{run: x, depends_on: [k{n}]}}\n" for n in range(5000)), "FQ301"),
    "a long cycle": (
        "jobs:\n" + "".join(f"  j{n}: {{run: x, depends_on: [j{(n + 1) % 3000}]}}\n" for n in range(3000)),
        "FQ302",
    ),
    "big stages, and a slip": (
        "stages: [a, b]\njobs:\n"
        + "".join(f"  j{n}: {{run: x, stage: {'ab'[n % 2]}}}\n" for n in range(6000))
        + "  k: {run: x, stage: c}",
        "FQ310",
    ),
    "matrices that match": (
        "jobs:\n  a: {run: x, matrix: {v: MANY, w: [1, 2]}}\n  b: {run: x, matrix: {v: MANY}, depends_on: {a: {match: v}, c: success}}".replace(
            "MANY", str([*range(20_000)])
        ),
        "FQ301",
    ),
    "a long chain of templates": (
        "templates:\n" + "".join(f"  t{n}: {{extends: t{n + 1}}}\n" for n in range(500)) + "jobs: {a: {run: x, extends: t0}}",
        "FQ114",
    ),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_input(name: str) -> None:
    text, code = HARD[name]
    start = time.process_time()
    assert f"[{code}]" in shown(compile_text(text))
    assert time.process_time() - start < 10, "quadratic?"  # each takes less than a second on a quiet machine


def test_hard_input_takes_little_memory() -> None:
    """In a process of its own: this one has had the memory of the tests before."""
    code = (
        "from flowq.compiler import compile_text; from tests.compiler.test_robustness import HARD; from tests.support.memory import peak\n"
        "for text, _ in HARD.values(): compile_text(text)\n"
        "print(peak())"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 500_000  # kB


def test_shared_arguments_are_not_copied() -> None:
    lines = ["        - &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"        - &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 6)]
    result = compile_text("jobs:\n  a:\n    call: m.f\n    args:\n      -\n" + "\n".join(lines) + "\n")
    assert result.plan is not None
    deepest = result.plan.nodes[0].action.args[0][5]
    assert deepest[0] is deepest[9]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abj:os{}[]&*!|>-'\"%@`#?,~<=. \n\t0123456789\\$()é", max_size=120))
def test_any_text(text: str) -> None:
    shown(compile_text(text))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    shown(compile_text(data))


JSONISH = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["", "a", "b", "${{ params.x }}", "${{ jobs.a.result }}", "5m", "success", "m.f"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "max", "when", "exit_codes", "include", "env", "file"]), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        "call",
        "run",
        "args",
        "kwargs",
        "depends_on",
        "if",
        "matrix",
        "env",
        "timeout",
        "ttl",
        "retry",
        "allow_failure",
        "queue",
        "shell",
        "workdir",
        "extends",
        "labels",
        "delay",
        "priority",
        "foreach",
        "max_parallel",
        "fail_fast",
        "flow",
        "params",
        "approval",
        "concurrency",
        "stage",
        "secrets",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.dictionaries(KEYS, JSONISH, max_size=5), min_size=1))
def test_any_job_of_json(jobs: dict[str, object]) -> None:
    import json

    shown(
        compile_text(
            json.dumps({"params": {"x": {"default": "1"}}, "stages": ["a", "b"], "secrets": {"a": {"env": "a"}}, "jobs": jobs})
        )
    )


TOP = st.sampled_from(
    [
        "dotenv",
        "stages",
        "timeout",
        "fail_fast",
        "concurrency",
        "outputs",
        "on_success",
        "on_failure",
        "on_cancel",
        "on_exit",
        "env",
        "secrets",
    ]
)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        TOP, JSONISH | st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(KEYS, JSONISH, max_size=3)), max_size=5
    )
)
def test_any_key_on_top(keys: dict[str, object]) -> None:
    import json

    shown(compile_text(json.dumps({"jobs": {"a": {"run": "x"}}, **keys})))


@pytest.mark.parametrize(
    "wrong",
    [
        "jobs: {a: {run: 'true'}, a: {run: 'true'}}",
        "jobs: {a: [",
        "jobs: {a: {runn: 'true'}}",
        "jobs: {a: {run: 'echo ${{ params.nothing }}'}}",
        "jobs: {a: {run: 'true', depends_on: [b]}}",
        "jobs: {a: {run: 'true', depends_on: b}, b: {run: 'true', depends_on: a}}",
        "jobs: {a: {call: 'json:nothing'}}",
        "jobs: {a: {run: 'true', timeout: soon}}",
        "",
    ],
)
def test_an_error_is_told_in_the_place_of_a_warning(wrong: str) -> None:
    """The most that are shown may all be warnings, which are found before it."""
    alone = compile_text(wrong, file="/nowhere/flow.yaml")
    below = compile_text(f"# flowq: allow {' FQ000' * 300}\n{wrong}", file="/nowhere/flow.yaml")
    assert alone.plan is below.plan is None
    assert [item.code for item in below.diagnostics if item.severity == "error"] == [item.code for item in alone.diagnostics]
    assert len(below.diagnostics) == 200
    assert "may be more" in below.diagnostics[-1].help
    many = compile_text(f"# flowq: allow {' FQ000' * 300}\njobs: {{{', '.join(f'j{n}: {{x: 1}}' for n in range(300))}}}")
    assert {item.severity for item in many.diagnostics} == {"error"}
