"""Time zones: by name, or the machine's local one."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, cast

from flowq.exceptions import UsageError


class _Local(tzinfo):
    """The machine's local time with its clock changes, as in the C library: from `TZ` in any form, else /etc/localtime."""

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Return the offset at a local time."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, dt: datetime | None) -> timedelta | None:  # noqa: ARG002 - the signature of tzinfo
        """Return None, for unknown."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """Return the abbreviation at a local time."""
        return "local" if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, dt: datetime) -> datetime:
        """Return the local time of a UTC time; `fold` distinguishes the two times of a repeated hour."""
        local = datetime.fromtimestamp(dt.replace(tzinfo=UTC).timestamp())  # noqa: DTZ006 - local time is what is wanted
        return local.replace(tzinfo=self)

    def __repr__(self) -> str:
        return "local"


LOCAL: Final = _Local()


def named(zone: tzinfo | str | None) -> tzinfo:
    """Return a time zone.

    Args:
        zone: a time zone, a name in the IANA database such as "Europe/Berlin", or None for the local one.

    Raises:
        UsageError: there is no such zone.
    """
    if zone is None or zone == "local":
        return LOCAL
    if isinstance(zone, tzinfo):
        return zone
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise UsageError(
            f"timezone: there is no time zone {zone!r} here, expected a name such as Europe/Berlin"
            " (a system without a zone database needs the package tzdata)"
        ) from error


def date_in(at_ms: float, zone: str) -> str:
    """Return the date of a time (ms since the epoch) in a zone, by its name ("": UTC): `2026-01-31`.

    Raises:
        UsageError: there is no such zone.
    """
    return datetime.fromtimestamp(at_ms / 1000, named(zone) if zone else UTC).date().isoformat()


def time_in(at_ms: int, zone: str) -> str:
    """Return a time (ms since the epoch) in a zone, with its distance to UTC: `2026-03-29 03:00:00+02:00`."""
    moment = datetime.fromtimestamp(at_ms / 1000, named(zone))
    return moment.isoformat(sep=" ", timespec="seconds" if at_ms % 1000 == 0 else "milliseconds")


def name_of(zone: tzinfo) -> str:
    """Return the name of a zone, for `named`."""
    return cast("str | None", getattr(zone, "key", None)) or (
        "UTC" if zone is UTC else str(zone) if zone is not LOCAL else "local"
    )
