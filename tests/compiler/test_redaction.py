"""Values under `secrets`: no diagnostic contains them, however they are written."""

import json
from collections.abc import Callable

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flowq.compiler import compile_text, render

CORES = st.text(st.sampled_from("bcdghkqxzBDGKQXZ23456789"), min_size=6, max_size=90)
EDGES = st.text(st.sampled_from("!#$%&*-+.:,;@?/\\'\"{}[]|>~^=()_ \t\n\u00e9\u2028"), max_size=4)


def line_of(value: str) -> str:
    """Return the value in one line: without quotes, a new line would end the section."""
    return " ".join(value.splitlines())


SHAPES: dict[str, Callable[[str], str]] = {
    "plain": lambda value: f"secrets:\n  TOKEN: {line_of(value)}\n",
    "quoted": lambda value: f"secrets:\n  TOKEN: {json.dumps(value)}\n",
    "dumped": lambda value: yaml.safe_dump(
        {"secrets": {"TOKEN": {"value": value}, "B": {"env": value}, "C": {"file": value + "\n"}}}
    ),
    "json": lambda value: json.dumps({"secrets": {"TOKEN": value, "B": [value], "C": {"x": {"y": value}}}}),
    "block": lambda value: "secrets:\n  TOKEN: |\n" + "".join(f"    {line}\n" for line in value.splitlines()),
    "flow": lambda value: f"secrets: {{TOKEN: {line_of(value)}}}\n",
    "twice": lambda value: f"secrets:\n  TOKEN: {{env: A}}\n  TOKEN: {line_of(value)}\n",
    "whole": lambda value: f"secrets: {line_of(value)}\n",
    "message": lambda value: f"notify: {{on: failed, to: {line_of(value)}}}\n",
    "messages": lambda value: f"notify:\n  - on: [failed]\n    secret: {line_of(value)}\n  - {line_of(value)}\n",
    "address": lambda value: f"notify:\n- {{on: failed, url: {line_of(value)}}}\n",
    "webhook": lambda value: f"triggers: {{x: {{webhook: {{secret: {line_of(value)}}}}}}}\n",
    "hook": lambda value: f"triggers:\n  x:\n    webhook: {line_of(value)}\n",
    "slip": lambda value: f"secret: {{TOKEN: {line_of(value)}}}\n",
}


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from(sorted(SHAPES)),
    core=CORES,
    before=EDGES,
    after=EDGES,
    behind=st.sampled_from(["", "x: y: z\n", "\t\n"]),
)
@example(shape="plain", core="222222", before="", after="", behind="")
@example(shape="whole", core="222222", before="[:", after="", behind="")
@example(shape="plain", core="222222", before="[?!", after="", behind="")
@example(shape="flow", core="222222", before=",", after="", behind="")
@example(shape="whole", core="222222", before="#", after="", behind="")
@example(shape="whole", core="B22222", before="", after=":", behind="")
@example(shape="plain", core="222222", before="!:;", after="", behind="")
@example(shape="dumped", core="222222", before="", after="${{", behind="")
@example(shape="dumped", core="B22222", before=",", after=":", behind="")
@example(shape="flow", core="222222", before=",", after=" ,", behind="")
@example(shape="twice", core="222222", before="!:;.", after="", behind="")
@example(shape="plain", core="22222222222222222222222222", before="", after="", behind="")
@example(shape="quoted", core="222222", before="'", after='\u00e9"', behind="")
def test_no_value_is_shown(shape: str, core: str, before: str, after: str, behind: str) -> None:
    text = SHAPES[shape](before + core + after) + "\njobs: {a: {run: work, secrets: [TOKEN]}}\n" + behind
    shown = "\n".join(render(item) for item in compile_text(text).diagnostics)
    assert shown
    assert core[:6] not in shown


@pytest.mark.parametrize("text", ["secrets: {A: {env: &a FINE}, B: {fil: *a}}", "secrets: {A: &a [x], B: [*a, *a], C: *a}"])
def test_shared_parts(text: str) -> None:
    assert compile_text(text).diagnostics


@pytest.mark.parametrize("end", ["", " ", "\n", " \n", "\n\n"])
def test_a_value_that_is_missing_at_the_end(end: str) -> None:
    """Its place is the line after the last one."""
    text = f"jobs: {{a: {{run: work, secrets: [TOKEN]}}}}\nsecrets:\n  TOKEN: {{env: TOKEN}}\n  OTHER:{end}"
    assert compile_text(text).diagnostics


def test_harmless_text_is_kept() -> None:
    text = "secrets: {TOKEN: {env: SOURCE, file: there/it.is}}\njobs: {a: {run: 'echo hunter2', if: [hunter2]}}\n"
    shown = "\n".join(render(item) for item in compile_text(text).diagnostics)
    assert "1:32: error[FQ117]: TOKEN has both `env` and `file`" in shown
    assert "SOURCE" not in shown
    assert "it.is" not in shown
    assert "if: [hunter2]" in shown
