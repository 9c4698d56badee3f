"""The generator of the table of routes in docs/api.md: `python -m tests.repository.api_page --check` or `--write`."""

import re
import sys
from pathlib import Path
from typing import Final

from flowq.serve.http.principals import Role
from flowq.serve.http.route import API, Route
from flowq.serve.http.routes import ROUTES
from tests.repository.generated import main

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


if __name__ == "__main__":
    sys.exit(main(TARGET, page, "tests.repository.api_page"))
