"""Flow files that have changed since a run was submitted: its places are lines of the text as it was then."""

import json
from pathlib import Path

from flowq.plan.sources import digest
from flowq.store.schema.records import RunRecord


def changed_files(run: RunRecord) -> tuple[str, ...]:
    """Return the flow files of a run whose text is another one now. A file that cannot be read here, as on another machine, is none."""
    return tuple(file for file, known in json.loads(run.sources).items() if _digest(file) not in {None, known})


def _digest(file: str) -> str | None:
    try:
        return digest(Path(file).read_bytes())
    except OSError:
        return None
