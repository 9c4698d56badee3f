"""docs/api.md has the table of routes."""

from flowq.serve.http.routes import ROUTES
from tests.repository.api_page import TARGET, page, table


def test_the_table_of_routes_is_current() -> None:
    text = TARGET.read_text(encoding="utf-8")
    assert page(text) == text
    assert text.count("\n| `") > len(ROUTES)
    assert table() in text
