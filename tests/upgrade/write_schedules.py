"""Writes the data directory `data_schedules`, with the flowq of the interpreter that executes it.

    .venv/bin/python tests/upgrade/write_schedules.py tests/upgrade/data_schedules COMMIT

It leaves `home.tar.gz`, the directory of the embedded server after a clean stop, and `expected.json`, what the flowq that wrote it
reads there. See the package's essay for what is in it.
"""

import json
import sys
import tempfile
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import redis

FIXTURE: Any = import_module("write_fixture")
PLACES: Any = import_module("place")

SCHEDULES: Final = ("broken", "daily", "minutely", "queued")
BROKEN: Final = "schedule: {every: 1s}\njobs: {a: {runs: x}}\n"


def schedules(writer: Any) -> dict[str, Any]:
    """Return what `flowq schedule list` tells, by flow."""
    found = json.loads(writer.call("schedule", "list", "--json"))
    return {item["id"].partition("/")[2].partition(":")[0]: item for item in found}


def outcomes(writer: Any, flow: str) -> list[dict[str, Any]]:
    """Return the log of a schedule or a trigger."""
    found: list[dict[str, Any]] = json.loads(writer.call("schedule", "history", flow, "--limit", "1000", "--json"))
    return found


def half_a_backfill(writer: Any) -> None:
    """Let a scheduler and a worker make three of five runs, and kill both while the third is executed."""
    scheduler = writer.start("schedule", "run", "flows", "--log-level", "error")
    worker = writer.start("worker", "default", "-c", "2", "--quiet")
    FIXTURE._until(lambda: set(SCHEDULES) <= set(schedules(writer)), "the schedules")
    FIXTURE._until(lambda: len(outcomes(writer, "queued")) >= 2, "two runs of `queued`")
    writer.call("schedule", "pause", "queued", "--note", "until the upgrade")
    writer.call("schedule", "backfill", "daily", "--from", "2026-01-01", "--to", "2026-01-06", "--yes")
    FIXTURE._until((writer.place / "waits-2026-01-03").exists, "the third run of the backfill")
    FIXTURE._until(lambda: len(outcomes(writer, "follow")) == 2, "the runs that follow")
    worker.kill()
    worker.wait()
    broken = writer.place / "flows" / "broken.yaml"
    text = broken.read_text("utf-8")
    broken.write_text(BROKEN, "utf-8")
    FIXTURE._until(lambda: any(item["outcome"] == "refused" for item in outcomes(writer, "broken")), "a refused slot")
    scheduler.kill()
    scheduler.wait()
    broken.write_text(text, "utf-8")
    writer.call("schedule", "pause", "broken", "--note", "mend it first")
    writer.call("run", "flows/broken.yaml", "--run-id", "told", "--detach")
    writer.call("cancel", "told")


def expectation(writer: Any, commit: str) -> dict[str, Any]:
    """Return everything that this flowq reads of the data."""
    return {
        "written": {"commit": commit, "flowq": writer.call("version").strip(), "at": datetime.now(UTC).isoformat()},
        "schedules": {name: lasting(item) for name, item in schedules(writer).items()},
        "history": {name: outcomes(writer, name) for name in (*SCHEDULES, "follow")},
        "backfills": json.loads(writer.call("schedule", "backfills", "--json")),
        "runs": sorted(json.loads(writer.call("runs", "--limit", "1000", "--json")), key=lambda run: str(run["id"])),
    }


def lasting(schedule: dict[str, Any]) -> dict[str, Any]:
    """Return what does not depend on when it is read."""
    return {name: value for name, value in schedule.items() if name not in {"next", "next_starts", "backlog", "seen"}}


def main(out: Path, commit: str) -> None:
    """Write everything."""
    place = PLACES.taken_place(PLACES.OF_SCHEDULES, PLACES.SOURCES_OF_SCHEDULES)
    with tempfile.TemporaryDirectory(prefix="fq-old-") as directory, place as here:
        writer = FIXTURE.Writer(Path(directory), here)
        writer.call("server", "start", served=False)
        writer.client = redis.Redis(unix_socket_path=f"{directory}/server.sock")
        try:
            half_a_backfill(writer)
            expected = expectation(writer, commit)
            FIXTURE.keep_for_good(writer.client)
            key = f"{{{PLACES.NAMESPACE}}}:schedules"  # what no scheduler had within a month is forgotten
            for name in writer.client.zrange(key, 0, -1):
                writer.client.zadd(key, {name: FIXTURE.FAR.timestamp() * 1000})
        finally:
            writer.end()
        FIXTURE.pack(writer.home, out / "home.tar.gz")
    text = json.dumps(expected, indent=1, ensure_ascii=False, sort_keys=True)
    (out / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
