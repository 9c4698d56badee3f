"""What must hold of slots and events after a round: the checks of what the schedulers and the page of serve have started."""

import json
from collections import Counter
from collections.abc import Iterator

from tests.chaos.evidence import Evidence
from tests.chaos.served import FOLLOWED, FOLLOWER, HOOK, PAST, TICKING, Ticking


def wrong_slots(evidence: Evidence) -> Iterator[str]:
    """Each slot of a schedule from the first one on has one run, or was left without one for a reason that is its policy."""
    for name, schedule in TICKING.items():
        yield from (f"{problem} ({name})" for problem in _wrong_slots(evidence, name, schedule))


def _wrong_slots(evidence: Evidence, name: str, schedule: Ticking) -> Iterator[str]:
    rows = (row for row in evidence.picture.runs.values() if row.get("schedule") == name)
    runs = Counter(
        int(row["slot"]) for row in rows if name != PAST or row["cause"] == "backfill"
    )  # an hour may begin in a round
    log = evidence.schedules.get(name, [])
    dealt = Counter(runs)
    for entry in log:
        if entry.outcome != "run":
            dealt.update(range(entry.first, entry.slot + 1, schedule.every))
        if (f"skipped/{entry.reason}" if entry.outcome == "skipped" else entry.outcome) not in schedule.outcomes:
            yield f"slot {entry.slot} was {entry.outcome} ({entry.reason}), which is not the policy"
        if entry.outcome == "left_out" and entry.at_ms < entry.slot + schedule.every:
            yield f"slot {entry.slot} was left out at {entry.at_ms}, before another one was due"
    for slot in range(min(dealt), max(dealt) + 1, schedule.every) if dealt else ():
        if dealt[slot] != 1:
            yield f"slot {slot} has {runs[slot]} runs, and was {dealt[slot] - runs[slot]} times left without one"
    if name != PAST:  # runs of a backfill are not in the log
        logged = Counter(entry.slot for entry in log if entry.outcome == "run")
        yield from (f"slot {slot} has a run {logged[slot]} times in the log" for slot in runs | logged if logged[slot] != 1)


def wrong_events(evidence: Evidence) -> Iterator[str]:
    """Each end of a run that is followed has started one run, and so has each delivery that was accepted."""
    found: dict[str, Counter[str]] = {FOLLOWER: Counter(), HOOK: Counter()}
    for row in evidence.picture.runs.values():
        if row.get("by") in found:
            found[row["by"]].update(json.loads(row["params"]).values())
    for name, counts in found.items():
        yield from (f"event {event} of {name} has {count} runs" for event, count in counts.items() if count > 1)
    yield from (
        f"delivery {name} was accepted, and has no run" for name in sorted(evidence.deliveries) if name not in found[HOOK]
    )
    ends = [f"{end.run} {end.attempt}" for end in evidence.run_ends if end.by.startswith(FOLLOWED) and end.status == "finished"]
    followed = found[FOLLOWER]
    yield from (f"{end} has not ended well, and has started a run" for end in followed if end not in ends)
    first = next((number for number, end in enumerate(ends) if end in followed), 0)  # before, there was no trigger
    yield from (f"the end of {end} has started no run" for end in ends[first:] if end not in followed)
