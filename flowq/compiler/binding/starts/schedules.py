"""`schedule`: when a flow is started by itself. Entries are checked completely here, with the values that they give to params."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice, pairwise
from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.starts.values import check_values, params_of, values_of
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import START, Span
from flowq.compiler.diagnostics.suggestions import close_match, did_you_mean, listing
from flowq.compiler.expressions.constants import UNKNOWN, StaticScope
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.params.params import Given, ParamSpec
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, plain
from flowq.compiler.syntax.schema import schema_document
from flowq.compiler.syntax.source import Report
from flowq.exceptions import UsageError
from flowq.plan.schedule import CatchUp, Entry, Scheduled
from flowq.slots.schedule import CronExpression
from flowq.slots.series import Series
from flowq.slots.timezones import named

_WHEN: Final = ("cron", "every", "at")
_ONLY: Final = "default"  # the name of an entry that is the only one, and has none
_SHORTEST: Final = 1000  # ms between two slots
_FROM: Final = 1_767_225_600_000  # 2026-01-01: the compiler has no clock
_YEARS: Final = range(1970, 3000)  # of times that are written out
_EVER: Final = 32_503_680_000_000  # the year 3000
_COMPARED: Final = 1000  # slots whose distances a jitter is compared with


def read_schedules(root: MapNode, specs: tuple[ParamSpec, ...], name: str, zone: str, report: Report) -> tuple[Entry, ...]:
    """Return the entries of a flow.

    Args:
        root: the flow.
        specs: its params, for which entries may have values.
        name: of the flow.
        zone: that of the flow, of entries without one.
        report: gets the problems; an entry with one is left out.
    """
    found = []
    for key, span, node in _entries(root, report):
        before = report.errors
        entry = _Reader(key, span, node, zone, report).entry()
        if entry is not None:
            sample = Scheduled(at=entry.series.after(_FROM) or _FROM, entry=key, timezone=entry.timezone)
            run = run_of(sample, name)
            check_values(specs, values_of(node, _scope(run), report, span), run, root, report)
        if entry is not None and report.errors == before:
            found.append(entry)
    return tuple(found)


def run_of(scheduled: Scheduled, name: str) -> dict[str, Json]:
    """Return what is known of the run of a slot."""
    local = datetime.fromtimestamp(scheduled.at / 1000, UTC).astimezone(named(scheduled.timezone))
    entry = {"schedule": scheduled.entry} if scheduled.entry else {}
    return {
        "name": name,
        "date": local.date().isoformat(),
        "scheduled_at": local.isoformat(timespec=_precision(scheduled.at)),
        **entry,
    }


@dataclass(frozen=True, slots=True)
class OfEntry:
    """What an entry says about a run of it: values of params, below those that are given, labels, and how many runs are kept."""

    given: Given
    labels: Mapping[str, str] = field(default_factory=dict)
    keep: int | None = None


def given_by(root: MapNode, entry: str, given: Given, run: Mapping[str, Json], report: Report) -> OfEntry:
    """Return what an entry says about a run. `given` are the values of params that win."""
    quiet = Report(report.source)  # its problems are reported where entries are read
    for key, span, node in _entries(root, quiet):
        if key == entry:
            own = values_of(node, _scope(run), quiet, span)
            places = {name: place for name, place in own.places.items() if name not in given.values}
            values = {name: value for name, value in own.values.items() if value is not UNKNOWN}
            spelt = {name: place for name, place in own.names.items() if name not in given.values}
            merged = replace(
                given,
                values={**values, **given.values},
                places={**places, **given.places},
                names={**spelt, **given.names},
                report=given.report or report,
            )
            if not isinstance(node, MapNode):
                return OfEntry(merged)
            return OfEntry(merged, fields.labels(node.get("labels"), _scope(run), quiet), fields.at_least_one(node.get("keep")))
    names = [key for key, _, _ in _entries(root, quiet)]
    hint = did_you_mean(entry, names, "the entries are") if names else "the flow has no `schedule`"
    where = root.key_span("schedule") if "schedule" in root.entries else START
    report.add(Code.NO_SCHEDULE, where, f"there is no schedule `{entry[:60]}`", hint)
    return OfEntry(given)


def _scope(run: Mapping[str, Json]) -> StaticScope:
    return StaticScope({}, (), run, place=Context.SCHEDULE)


def _precision(ms: int) -> str:
    return "seconds" if ms % 1000 == 0 else "milliseconds"


def _entries(root: MapNode, report: Report) -> Iterator[tuple[str, Span, YamlNode]]:
    """Yield name, place and node of each entry. Short forms: a cron expression, and one entry without a name."""
    node = root.get("schedule")
    if isinstance(node, ScalarNode) and isinstance(node.value, str) and node.value:
        yield _ONLY, node.span, node
    if not isinstance(node, MapNode) or not node.entries:
        return
    known = tuple(schema_document()["$defs"]["schedule_entry"]["properties"])
    if not any(key in node.entries for key in _WHEN) and not all(key in known for key in node.entries):
        for key, (spelling, value) in node.entries.items():
            if key in known:
                help_ = "write it into each entry; one entry alone has `cron`, `every` or `at` beside it"
                report.add(
                    Code.MISPLACED_KEY,
                    spelling.span,
                    f"`{key}` is a key of an entry, and this is a map of entries with names",
                    help_,
                )
            elif isinstance(value, MapNode) or (isinstance(value, ScalarNode) and isinstance(value.value, str)):
                yield key, spelling.span, value
        return
    for key, (spelling, value) in node.entries.items():
        if key not in known:
            meant = schema_document()["$defs"]["schedule_entry"]["x-synonyms"].get(key.lower()) or close_match(key, known)
            hint = f"did you mean {meant}?" if meant else f"known here are {listing(known, 40)}"
            if isinstance(value, MapNode):
                hint = "several entries are a map, each with a name of its own"
            report.add(Code.UNKNOWN_KEY, spelling.span, f"unknown key `{key[:60]}`", hint)
    yield _ONLY, root.key_span("schedule"), node


class _Reader:
    """Reads one entry."""

    def __init__(self, name: str, span: Span, node: YamlNode, zone: str, report: Report) -> None:
        self._name = name
        self._span = span
        self._map = node if isinstance(node, MapNode) else MapNode(node.start)
        self._whole = node if isinstance(node, ScalarNode) else None  # a cron expression alone
        self._report = report
        self._scope = _scope({})
        self._zone = fields.timezone(self._map.get("timezone"), report) or zone or "UTC"

    def entry(self) -> Entry | None:
        """Return it, or None after a problem with its times."""
        before = self._report.errors
        entry = Entry(
            name=self._name,
            cron=self._cron(),
            every=self._every(),
            at=self._at(),
            timezone=self._zone,
            params=self._params(),
            labels=fields.labels(self._map.get("labels"), self._scope, self._report),
            catch_up=self._catch_up(),
            overlap=fields.static_text(self._map.get("overlap"), self._scope, self._report) or "skip",
            jitter=self._milliseconds("jitter") or 0,
            start=self._local("start"),
            end=self._local("end"),
            paused=fields.flag(self._map.get("paused")),
            keep=fields.at_least_one(self._map.get("keep")),
            line=self._span.line,
        )
        self._check_when()
        if self._report.errors > before:
            return None
        self._check_times(entry)
        if entry.catch_up.mode == "all" and entry.overlap == "skip":
            self._warn_of_skip()
        return entry if self._report.errors == before else None

    def _check_when(self) -> None:
        said = [key for key in _WHEN if key in self._map.entries]
        if self._whole is not None or len(said) == 1:
            return
        if said:
            message = f"an entry has one of `cron`, `every` and `at`, this one has {listing(said)}"
            self._report.add(Code.WHEN, self._map.key_span(said[1]), message, "make two entries, each with a name of its own")
        else:
            self._report.add(
                Code.WHEN, self._span, "the entry does not say when", 'add cron: "0 6 * * *", every: 1h or at: 2026-12-24T18:00'
            )

    def _cron(self) -> tuple[str, ...]:
        node = self._whole or self._map.get("cron")
        found = []
        for item in node.items if isinstance(node, ListNode) else [node]:
            if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
                continue
            if "${{" in item.value:
                self._report.add(
                    Code.CRON, item.span, "a schedule is known before params and expressions are", "write the times themselves"
                )
                continue
            try:
                CronExpression.of(item.value, self._zone)
            except UsageError as error:
                message, _, hint = str(error).removeprefix("cron: ").partition(": ")
                self._report.add(Code.CRON, item.span, message, hint or _fields_help(item.value))
            found.append(item.value)
        return tuple(found)

    def _every(self) -> int | None:
        every = self._milliseconds("every")
        if every is not None and every < _SHORTEST:
            self._report.add(
                Code.SCHEDULE_TIME,
                self._map.entries["every"][1].span,
                "`every` is at least 1s",
                "use a job of a worker for shorter times",
            )
        return every

    def _milliseconds(self, key: str) -> int | None:
        seconds = fields.duration(self._map.get(key), self._scope, self._report, never=False)
        return None if seconds is None else round(seconds * 1000)

    def _at(self) -> tuple[str, ...]:
        node = self._map.get("at")
        found = [self._time(item, "at") for item in (node.items if isinstance(node, ListNode) else [node])]
        return tuple(dict.fromkeys(text for text in found if text is not None))

    def _local(self, key: str) -> str | None:
        return self._time(self._map.get(key), key)

    def _time(self, node: YamlNode | None, key: str) -> str | None:
        """Return a local date or date-time as it is written."""
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str) or not node.value:
            return None
        try:
            time = datetime.fromisoformat(node.value)
        except ValueError:
            self._report.add(
                Code.SCHEDULE_TIME,
                node.span,
                f"{key}: {node.value[:60]!r} is not a date or a date-time",
                "write it as 2026-12-24T18:00, or 2026-12-24",
            )
            return None
        if time.tzinfo is not None:
            message = f"{key}: a time of a schedule is local, this one has an offset"
            self._report.add(
                Code.SCHEDULE_TIME, node.span, message, f"write {time.replace(tzinfo=None).isoformat()} and `timezone`"
            )
            return None
        if time.year not in _YEARS:
            message = f"{key}: the year {time.year} is not one of a schedule"
            self._report.add(Code.SCHEDULE_TIME, node.span, message, f"the years are {_YEARS[0]} to {_YEARS[-1]}")
            return None
        self._warn_of_gap(node, time)
        return node.value

    def _warn_of_gap(self, node: ScalarNode, time: datetime) -> None:
        local = time.replace(tzinfo=named(self._zone))
        there = local.astimezone(UTC).astimezone(named(self._zone)).replace(tzinfo=None)
        if there != time:
            message = f"{node.value} does not exist in {self._zone}: the clocks are changed then"
            self._report.add(Code.SKIPPED_HOUR, node.span, message, f"it counts as {there.isoformat(timespec='minutes')}")

    def _params(self) -> Mapping[str, Json]:
        reader = SiteReader(
            Report(self._report.source), Context.SCHEDULE
        )  # problems are reported where the values are evaluated
        return {name: reader.value(value) for name, value in params_of(self._map).items()}

    def _catch_up(self) -> CatchUp:
        node = self._map.get("catch_up")
        if isinstance(node, ScalarNode):
            return CatchUp(mode=str(node.value))
        if not isinstance(node, MapNode):
            return CatchUp()
        usual = CatchUp()
        window = fields.duration(node.get("window"), self._scope, self._report, never=False)
        if window == 0:
            self._report.add(
                Code.SCHEDULE_TIME, node.entries["window"][1].span, "a `window` of 0 has no slots", "write catch_up: none"
            )
        mode = node.get("mode")
        return CatchUp(
            mode=str(plain(mode)) if mode is not None else usual.mode,
            max=fields.integer(node.get("max"), usual.max),
            window=usual.window if window is None else round(window * 1000),
        )

    def _check_times(self, entry: Entry) -> None:
        series = entry.series
        if entry.start is not None and entry.end is not None and series.after(_time_of(entry.start, self._zone) - 1) is None:
            self._report.add(
                Code.SCHEDULE_TIME,
                self._map.entries["end"][1].span,
                "there is no slot between `start` and `end`",
                "`end` is later than `start`",
            )
            return
        if entry.jitter:
            self._check_jitter(entry, series)

    def _check_jitter(self, entry: Entry, series: Series) -> None:
        gap = min((later - slot for slot, later in pairwise(islice(series.between(_FROM, _EVER), _COMPARED))), default=None)
        if gap is not None and entry.jitter >= gap:
            message = f"`jitter` is not shorter than the shortest time between two slots, {gap / 1000:g} s"
            self._report.add(
                Code.SCHEDULE_TIME, self._map.entries["jitter"][1].span, message, "runs would change places: make it shorter"
            )

    def _warn_of_skip(self) -> None:
        message = "slots that were missed are made up one after the other, whatever `overlap` says; `skip` is for those that are in time"
        self._report.add(
            Code.CATCH_UP_ALL, self._map.entries["catch_up"][1].span, message, "say overlap: queue if no slot may be left out"
        )


def _time_of(text: str, zone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=named(zone)).timestamp() * 1000)


def _fields_help(text: str) -> str:
    return "" if text.startswith("@") else "the fields are minute hour day month weekday, such as 0 6 * * MON-FRI"
