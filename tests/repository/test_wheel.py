"""The wheel contains exactly the files of the package; all imports are declared dependencies."""

import ast
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.makefile import ROOT

PACKAGE = ROOT / "flowq"
IMPORT_NAMES = {
    "opentelemetry-sdk": "opentelemetry",
    "jsonschema-rs": "jsonschema_rs",
    "pyyaml": "yaml",
}  # distributions whose import name differs


def project() -> dict[str, list[str]]:
    loaded: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return loaded


def imported() -> Iterator[str]:
    """Yield the top-level name of every absolute import of the package."""
    for path in PACKAGE.rglob("*.py"):
        if path.name == "testing.py":
            continue  # a plugin of pytest, which loads it
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.module.partition(".")[0]


def test_every_import_is_declared() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    optional = [requirement for extra, found in extras.items() if extra != "dev" for requirement in found]
    declared = {re.split(r"[<>=~!\[ ]", requirement)[0].lower() for requirement in (*project()["dependencies"], *optional)}
    names = {IMPORT_NAMES.get(name, name) for name in declared}
    assert set(imported()) - names - set(sys.stdlib_module_names) - {"flowq"} == set()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_wheel_holds_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        content = {name for name in archive.namelist() if ".dist-info/" not in name}
        schemas = [archive.read(name) for name in content if name.endswith("flow.schema.json")]
    needed = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.suffix in {".py", ".lua", ".typed"}}
    page = {str(path.relative_to(ROOT)) for path in (PACKAGE / "page" / "static").rglob("*") if path.is_file()}
    assert content == needed | page | {"flowq/schemas/flow.schema.json"}
    assert schemas == [(ROOT / "schemas" / "flow.schema.json").read_bytes()]
