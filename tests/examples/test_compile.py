"""Every example compiles without diagnostics, and names the schema for editors."""

from pathlib import Path

import pytest

from flowq.compiler import compile_file
from tests.examples.running import FLOWS

FILES = sorted(FLOWS.rglob("*.yaml"))


def test_the_examples_are_found() -> None:
    assert {"hello.yaml", "conditions.yaml", "retries.yaml", "ci.yaml", "penguins.yaml"} <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FLOWS)))
def test_compiles_without_diagnostics(path: Path) -> None:
    compilation = compile_file(path, params={})
    assert compilation.diagnostics == ()
    assert compilation.plan is not None
    assert compilation.plan.name == path.stem


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FLOWS)))
def test_names_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    name = first.partition("$schema=")[2]
    assert (path.parent / name).resolve() == FLOWS.parent.parent / "schemas" / "flow.schema.json"
