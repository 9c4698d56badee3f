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

_LONGEST: Final = 100  # characters of a name; for each part between slashes `ZoneInfo` imports a package within the one before
_WEEK: Final = 7 * 86_400_000  # ms; no zone changes its clocks twice within one


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

    refusal = UsageError(f"timezone: there is no time zone {str(zone)[:60]!r} here, expected a name such as Europe/Berlin")
    if len(str(zone)) > _LONGEST:
        raise refusal
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise refusal from error


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


def moment_in(at_ms: int, zone: str) -> str:
    """Return a time as `time_in` does, always with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, named(zone)).isoformat(sep=" ", timespec="milliseconds")


def local_of(ms: int, zone: tzinfo) -> datetime:
    """Return a time (ms since the epoch) as local time of a zone."""
    return datetime.fromtimestamp(ms / 1000, UTC).astimezone(zone)


def offset_at(ms: int, zone: tzinfo) -> timedelta:
    """Return by how much a zone is ahead of UTC at a time (ms since the epoch)."""
    return local_of(ms, zone).utcoffset() or timedelta()


def next_change(after: int, until: int, zone: tzinfo) -> int | None:
    """Return the first time in (after, until], in ms since the epoch, at which the clocks of a zone are changed."""
    if zone is UTC:
        return None
    early, offset = after, offset_at(after, zone)
    while early < until:
        late = min(early + _WEEK, until)
        if offset_at(late, zone) != offset:
            return _change_between(early, late, zone)
        early = late
    return None


def _change_between(early: int, late: int, zone: tzinfo) -> int:
    """Return the time in (early, late] from which on a zone has another offset than at its beginning."""
    offset = offset_at(early, zone)
    while late - early > 1:
        middle = (early + late) // 2
        if offset_at(middle, zone) == offset:
            early = middle
        else:
            late = middle
    return late


def name_of(zone: tzinfo) -> str:
    """Return the name of a zone, for `named`."""
    return cast("str | None", getattr(zone, "key", None)) or (
        "UTC" if zone is UTC else str(zone) if zone is not LOCAL else "local"
    )
