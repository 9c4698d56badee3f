"""Hooks of the documentation site: pages made from the code, and files outside `docs` that pages link to.

The pages link to files of the repository (`../examples/…`), as a reader of the repository needs it. The site has copies of these files, and
the links are turned to them.
"""

import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from flowq.cli.main import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {
    "CONTRIBUTING.md": "generated/contributing.md",
    "CHANGELOG.md": "generated/changelog.md",
    "examples/README.md": "generated/examples.md",
}
CLASSES = (
    "Flow",
    "Run",
    "Queue",
    "Job",
    "Worker",
    "Retry",
    "Repeat",
    "Callback",
    "Dependency",
    "Group",
    "RateLimit",
    "Webhook",
)
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the examples."""
    pages = {
        "generated/commands.md": _commands(),
        "generated/python.md": "# Python\n\n" + "".join(f"::: flowq.{name}\n\n" for name in CLASSES),
        **{page: (ROOT / name).read_text(encoding="utf-8") for name, page in OUTSIDE.items()},
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for path in sorted(path for kind in ("yaml", "py") for path in (ROOT / "examples").rglob(f"*.{kind}")):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Turn links to files outside `docs` to their copies."""
    source = next((name for name, copy in OUTSIDE.items() if copy == page.file.src_uri), f"docs/{page.file.src_uri}")
    here = posixpath.dirname(page.file.src_uri)

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        inside = OUTSIDE.get(target, target.removeprefix("docs/"))
        if inside == target and not target.startswith("examples/"):
            return match[0]
        return f"]({posixpath.relpath(inside, here or '.')}{match[2] or ''})"

    return _LINK.sub(turned, markdown)


def _commands() -> str:
    """Return the page with the help of every command."""
    parts = [
        "# Help of every command\n\nWhat `flowq COMMAND --help` prints. [The command line](../cli.md) explains it, with output.\n"
    ]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        context = click.Context(command, info_name=f"flowq {name}", max_content_width=100, terminal_width=100)
        parts.append(f"## flowq {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)
