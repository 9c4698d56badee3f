"""Times as arguments: a date or date-time in a schedule's zone, or a duration from now."""

import click

from flowq.durations import parse_duration
from flowq.exceptions import TimeoutFormatError, UsageError
from flowq.schedules.views import local_ms


def moment(text: str, timezone: str, option: str) -> int:
    """Return the time (ms) of a date or date-time; without a distance to UTC it is one of the zone.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        return local_ms(text, timezone)
    except (ValueError, OverflowError) as error:
        wanted = "2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00+01:00"
        raise click.BadParameter(f"expected {wanted}, found {text!r}", param_hint=option) from error


def moment_ahead(text: str, timezone: str, now: int, option: str) -> int:
    """Return a time (ms) in the future: a duration from now (2h), or a date or date-time.

    Raises:
        click.BadParameter: it is none.
        UsageError: it has passed.
    """
    try:
        found = now + round(parse_duration(text) * 1000)
        found += -found % 1000  # a whole second: lists would show the thousandths
    except TimeoutFormatError:
        found = moment(text, timezone, option)
    if found <= now:
        raise UsageError(f"{option}: {text} has passed")
    return found
