"""Option types: `name=value` pairs, durations and times."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from datetime import datetime


class Pair(click.ParamType[tuple[str, str]]):
    """`name=value`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split at the first `=`; the value may be empty and may contain `=`."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.strip():
            self.fail(f"expected name=value, found {value!r}", param, ctx)
        if any("\ud800" <= char <= "\udfff" for char in str(value)):  # how Python keeps bytes that are not UTF-8
            self.fail(f"expected UTF-8 text, found {value!r}", param, ctx)
        return name.strip(), text


class Duration(click.ParamType[float]):
    """`90s`, `2h`, `7d`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read the text."""
        from flowq.durations import parse_duration
        from flowq.exceptions import TimeoutFormatError

        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except TimeoutFormatError as error:
            self.fail(str(error), param, ctx)


class PointInTime(click.ParamType["datetime"]):
    """`2026-01-31T06:00+01:00`: a time with its distance to UTC, which is 0 where none is given."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "datetime":
        """Read the text."""
        from datetime import UTC, datetime

        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected a time such as 2026-01-31T06:00 or 2026-01-31T06:00+01:00, found {value!r}", param, ctx)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class TimeAgo(click.ParamType["float | datetime"]):
    """`10m`: so many seconds ago; or a point in time. `since_ms` makes a time of it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "float | datetime":
        """Read the text."""
        from flowq.durations import parse_duration
        from flowq.exceptions import TimeoutFormatError

        if not isinstance(value, str):
            return PointInTime().convert(value, param, ctx)
        try:
            return parse_duration(value)
        except TimeoutFormatError:
            if not value[:4].isdigit():
                self.fail(f"expected 10m for ten minutes ago, or a time such as 2026-01-31T06:00, found {value!r}", param, ctx)
            return PointInTime().convert(value, param, ctx)


def since_ms(since: "float | datetime", now_ms: int) -> int:
    """Return the time (ms) of a `TimeAgo`, by the clock that says what is now."""
    return round(now_ms - since * 1000 if isinstance(since, float) else since.timestamp() * 1000)


def params_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the params given with `-p`.

    Raises:
        click.BadParameter: a name is given twice.
    """
    params: dict[str, str] = {}
    for name, value in pairs:
        if name in params:
            raise click.BadParameter(f"param {name!r} is given twice", param_hint="-p")
        params[name] = value
    return params
