"""The pages: links and anchors lead somewhere, flows compile, the site has every page, pictures load nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from flowq.compiler import compile_text, render
from flowq.compiler.syntax.schema import schema_document
from tests.repository.makefile import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
TRIED = {"language.md"}  # its flows run in tests/language, those of how-to in tests/cli
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))


def prose(path: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(path: Path) -> Iterator[str]:
    """Yield the links of a page to files or headings that do not exist."""
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    for link in re.findall(r"(?:\]\(|(?:src|srcset)=\")([^)\s\"]+)", text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
            yield f"{path.relative_to(ROOT)}: {link}"


def flows() -> Iterator[tuple[str, str]]:
    """Yield page and text of the blocks that are whole flows, except of pages whose flows other tests run."""
    for path in PAGES:
        if path.parent == DOCS / "how-to" or path.name in TRIED:
            continue
        for block in re.findall(r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            if re.search(r"^jobs:", block, re.MULTILINE) and "runs-on:" not in block:
                yield path.name, block


def pages_of(nav: object) -> Iterator[str]:
    """Yield the pages of a navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for item in nav:
            yield from pages_of(item)
    elif isinstance(nav, dict):
        for item in nav.values():
            yield from pages_of(item)


def test_the_entry_for_schemastore_names_the_schema() -> None:
    entry = json.loads((DOCS / "schemastore.json").read_text(encoding="utf-8"))
    assert set(entry) == {"name", "description", "fileMatch", "url"}
    assert entry["url"] == schema_document()["$id"]


def test_links_lead_somewhere() -> None:
    assert [link for path in PAGES for link in broken(path)] == []


def test_anchors_are_made_of_headings() -> None:
    page = ROOT / "docs" / "guarantees.md"
    assert "guarantees" in anchors(page)
    assert "how-often-a-job-is-executed" in anchors(page)
    assert "nowhere" not in anchors(page)


@pytest.mark.parametrize(("page", "text"), list(flows()))
def test_flows_of_the_pages_compile(page: str, text: str) -> None:
    compiled = compile_text(text, date="2026-01-31", file=str(DOCS / page))
    assert compiled.plan is not None, "\n".join(map(render, compiled.diagnostics))


def test_the_site_has_every_page_once() -> None:
    # Tags of YAML name functions of the site's builder, which is not installed here.
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = [page for page in pages_of(yaml.safe_load(text)["nav"]) if not page.startswith("generated/")]
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_pictures_load_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"https?://[^\"]*", text) == ["http://www.w3.org/2000/svg"]
    assert "url(http" not in text
    assert "<script" not in text


def test_each_picture_is_for_light_and_dark_pages() -> None:
    names = {path.stem for path in PICTURES}
    assert names == {f"{kind}-{theme}" for kind in ("run", "gantt") for theme in ("light", "dark")}
