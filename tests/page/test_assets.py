"""The files of the page: what is sent, and rules that no reviewer has to remember."""

import re
from pathlib import Path
from typing import Final

import pytest

from flowq.page.assets import assets, modules, release_hash, shell
from flowq.serve.http import pages

STATIC: Final = Path(__file__).parents[2] / "flowq" / "page" / "static"
SCRIPTS: Final = sorted((STATIC / "js").rglob("*.js"))
BUDGET: Final = 150_000
"""Bytes of JavaScript of one view, uncompressed."""

TOTAL: Final = 225_000
"""Bytes of JavaScript of all views."""


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_address_names_modules_that_are_there() -> None:
    for views in pages.ROUTES.values():
        assert {f"js/pages/{view}.js" for view in views} <= set(modules("js/main.js")) | {
            path.relative_to(STATIC).as_posix() for path in SCRIPTS
        }


@pytest.mark.parametrize("page", sorted(path.relative_to(STATIC).as_posix() for path in (STATIC / "js" / "pages").glob("*.js")))
def test_a_view_loads_little_javascript(page: str) -> None:
    files = {*modules("js/main.js"), *modules(page)}
    assert sum((STATIC / name).stat().st_size for name in files) <= BUDGET


def test_all_views_together_load_no_more_than_they_do() -> None:
    assert sum(len(asset.content) for asset in assets().values() if asset.path.endswith(("js", ".mjs"))) <= TOTAL


def test_every_file_has_an_address_that_changes_with_any_content() -> None:
    found = assets()
    assert {asset.path for asset in found.values()} == set(found)
    assert all(path.startswith(f"{release_hash()}/") for path in found)
    assert {Path(path).suffix for path in found} == {".css", ".js", ".mjs", ".svg"}
    assert not any(asset.content.startswith(b"\xef\xbb\xbf") for asset in found.values())


def test_the_document_names_files_that_are_there_below_a_prefix() -> None:
    document = shell("/flow&q").decode()
    named = re.findall(r'(?:href|src)="([^"]+)"', document)
    assert named
    assert all(name.removeprefix("/flow&amp;q/assets/") in assets() for name in named)
    assert "%" not in document


def test_the_document_has_no_inline_script_or_style() -> None:
    document = shell().decode()
    assert re.findall(r"<script(?![^>]*\bsrc=)", document) == []
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", document)


def test_imports_lead_to_files() -> None:
    for script in SCRIPTS:
        for name in re.findall(r"""(?:from|import\()\s*"(\.[^"]+)\"""", text_of(script)):
            assert (script.parent / name).resolve().is_file(), f"{script.name} imports {name}"


@pytest.mark.parametrize(
    "word", ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "dangerouslySet", "eval(", "new Function"]
)
def test_no_script_makes_markup_or_code_from_text(word: str) -> None:
    assert [script.name for script in SCRIPTS if word in text_of(script)] == []


@pytest.mark.parametrize("word", ["Intl.DateTimeFormat", "toLocale", "toISOString", "getHours", "getMinutes", "toFixed"])
def test_one_module_formats_times(word: str) -> None:
    sizes = {"log_model.js"} if word == "toFixed" else set()  # of files: 1.5 MB
    assert {script.name for script in SCRIPTS if word in text_of(script)} - sizes <= {"time.js"}


def test_every_vendored_module_is_listed_with_its_licence() -> None:
    notes = text_of(STATIC / "vendor" / "README.md")
    for path in (STATIC / "vendor").glob("*.mjs"):
        line = next(line for line in notes.splitlines() if line.startswith(f"| `{path.name}`"))
        licence = re.search(r"`(LICENSE[^`]*)`", line)
        assert licence is not None
        assert (STATIC / "vendor" / licence[1]).is_file()


def test_modules_are_of_a_size_that_can_be_read() -> None:
    assert {script.name: size for script in SCRIPTS if (size := len(text_of(script).splitlines())) > 400} == {}
