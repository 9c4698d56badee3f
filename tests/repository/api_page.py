"""The generator of the table of routes in docs/api.md: `python -m tests.repository.api_page --check` or `--write`."""

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from flowq.serve.http.principals import Role
from flowq.serve.http.route import API, Route
from flowq.serve.http.routes import ROUTES

ROOT: Final = Path(__file__).resolve().parents[2]
TARGET: Final = ROOT / "docs" / "api.md"

_BLOCK: Final = re.compile(r"<!-- routes -->\n.*?<!-- end of routes -->\n", re.DOTALL)


def table() -> str:
    """Return the table of routes."""
    lines = ["| route | role | |", "|---|---|---|"]
    lines += [f"| `{route.method} {route.path.removeprefix(API)}` | {_role(route)} | {_what(route)} |" for route in ROUTES]
    return "\n".join(lines)


def _role(route: Route) -> str:
    return "none" if route.role is Role.OPEN else route.role.word


def _what(route: Route) -> str:
    parts = [route.summary.replace("|", "\\|")]
    if route.query:
        parts.append("parameters " + ", ".join(f"`{name}`" for name in route.query))
    properties = (route.body or {}).get("properties", {})
    required = (route.body or {}).get("required", [])
    if properties:
        parts.append("body " + ", ".join(f"`{name}`" + ("" if name in required else "?") for name in properties))
    return "; ".join(parts)


def page(text: str) -> str:
    """Return the page with the current table."""
    return _BLOCK.sub(lambda _: f"<!-- routes -->\n\n{table()}\n\n<!-- end of routes -->\n", text, count=1)


def main() -> int:
    """Check the page or write it; return 1 if it is stale."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()
    old = TARGET.read_text(encoding="utf-8")
    new = page(old)
    if chosen.write:
        TARGET.write_text(new, encoding="utf-8")
        return 0
    if old != new:
        sys.stdout.write("docs/api.md is stale: run `python -m tests.repository.api_page --write`\n")
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main())
