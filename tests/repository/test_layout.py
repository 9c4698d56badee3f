"""The layout of the package: sizes of modules and folders, names of classes, and the paths in CONTRIBUTING."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.repository.makefile import ROOT

PACKAGE = ROOT / "flowq"
MODULES = [path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts]

LINES = 400
MODULES_OF_A_FOLDER = 15
LARGER_FOLDERS = {
    ".": "the import paths that users of RQ know",
    "cli/commands": "one module per command",
    "store/lua/job": "one script per transition of a job",
    "store/lua/lib": "the parts that scripts share, one per subject",
    "worker/supervisor": "the parts of one process",
}
WORDS = re.compile(
    r"\b(some[b]ody|(?<!USER )no[b]ody|who[e]ver|a[n]ew|for [e]ver)\b", re.IGNORECASE
)  # no pattern matches its own line


def test_no_module_is_long() -> None:
    sizes = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n") for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > LINES} == {}


def test_no_folder_has_many_modules() -> None:
    found: defaultdict[str, int] = defaultdict(int)
    for path in [*MODULES, *PACKAGE.rglob("*.lua")]:
        found[path.parent.relative_to(PACKAGE).as_posix()] += path.name != "__init__.py"
    assert {folder for folder, count in found.items() if count > MODULES_OF_A_FOLDER} <= set(LARGER_FOLDERS)
    assert found["worker/supervisor"] <= 18


def test_no_two_public_classes_have_one_name() -> None:
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(PACKAGE)))
    assert {name: places for name, places in homes.items() if len(places) > 1} == {}


@pytest.mark.parametrize("folder", ["flowq", "docs", "schemas", "tests"])
def test_prose_names_its_actors(folder: str) -> None:
    texts = [path for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".lua", ".md", ".json"}]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in texts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := WORDS.search(line))
    ]
    assert found == []


def test_the_paths_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:flowq|tests|docs|schemas|examples|benchmarks)/[\w./-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert len(named) > 40


def test_every_page_of_the_docs_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()


def test_every_package_has_a_docstring() -> None:
    packages = [path for path in MODULES if path.name == "__init__.py"]
    assert [str(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


def test_sizes_are_counted() -> None:
    assert len(MODULES) > 200
    assert Path(__file__).name in {path.name for path in (ROOT / "tests" / "repository").glob("*.py")}
