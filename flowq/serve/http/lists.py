"""Lists that are answered in parts: one form of `limit`, `cursor` and `next` for all of them.

A cursor is the place of the last item that was given, not a number of items: what comes or goes meanwhile neither doubles an item nor
hides one.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

from flowq.serve.http.replies import RefusedError
from flowq.serve.http.schemas import Schema, integer, text

Place: TypeAlias = tuple[int | str, ...]
"""Where an item stands in its list: places of a list are compared with each other."""

Item = TypeVar("Item")

_LONGEST: Final = 700  # characters of a cursor


def in_parts(most: int = 500, default: int = 200) -> Mapping[str, Schema]:
    """Return the parameters of a route that answers with at most `most` items."""
    return {"limit": integer(1, most, default), "cursor": text(_LONGEST)}


def part(query: Mapping[str, Any], items: Iterable[Item], place: Callable[[Item], Place]) -> tuple[list[Item], str | None]:
    """Return the items that a request asks for, in the order of their places, and the cursor of the next part; None: there is none.

    Raises:
        RefusedError: the cursor is not one of this list.
    """
    after = read_cursor(query)
    try:
        rest = sorted((item for item in items if after is None or place(item) > after), key=place)
    except TypeError as error:
        raise wrong_cursor() from error
    found = rest[: query["limit"]]
    return found, cursor(place(found[-1])) if len(rest) > len(found) else None


def cursor(place: Place) -> str:
    """Return the cursor of what comes behind a place."""
    return base64.urlsafe_b64encode(json.dumps(place, ensure_ascii=False).encode("utf-8", "surrogatepass")).decode()


def read_cursor(query: Mapping[str, Any]) -> Place | None:
    """Return the place that a request goes on from; None: from the beginning.

    Raises:
        RefusedError: it is none.
    """
    given = query.get("cursor")
    if given is None:
        return None
    try:
        found = json.loads(base64.b64decode(given.encode(), b"-_", validate=True).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise wrong_cursor() from error
    if not isinstance(found, list) or not all(type(item) in {int, str} for item in found):
        raise wrong_cursor()
    return tuple(found)


def wrong_cursor() -> RefusedError:
    """Return the refusal of a cursor."""
    return RefusedError(400, "query", "cursor is not one that this list gave")
