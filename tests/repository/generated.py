"""The command of the generators: checks a page that is made from the code, or writes it."""

import argparse
import difflib
import sys
from collections.abc import Callable
from pathlib import Path


def main(target: Path, page: Callable[[str], str], module: str) -> int:
    """Check the page or write it; return 1 if it is stale.

    Args:
        target: the page's file.
        page: returns the current text for the text in the file.
        module: the generator, for the message.
    """
    options = argparse.ArgumentParser(prog=f"python -m {module}", description=f"Check or write {target.name}.")
    action = options.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true")
    action.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    old = target.read_text(encoding="utf-8")
    new = page(old)
    if chosen.write:
        target.write_text(new, encoding="utf-8")
        return 0
    if old != new:
        sys.stdout.write(f"docs/{target.name} is stale: run `python -m {module} --write`\n")
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(keepends=True), new.splitlines(keepends=True), "docs", "now"))
    return int(old != new)
