"""The text of the flow files of a run. A run stores their digests, not their text: a file that has changed since is not the run's any more."""

import json
from pathlib import Path
from typing import Final

from flowq.plan import Json
from flowq.plan.sources import digest
from flowq.store.schema.records import RunRecord

_LARGEST: Final = 4 * 1024 * 1024  # bytes


def sources_json(run: RunRecord) -> list[dict[str, Json]]:
    """Return the flow files of a run, its own first: `text` is None where it is not here any more, and `note` says why."""
    known: dict[str, str] = json.loads(run.sources)
    names = sorted(known, key=lambda name: (name != run.file, name))
    return [{"file": name, **_text(name, known[name])} for name in names]


def _text(file: str, known: str) -> dict[str, Json]:
    try:
        with Path(file).open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError:
        return {"text": None, "note": "the file is not on this machine"}
    if digest(content) != known:
        return {"text": None, "note": "the file has changed since the run was submitted"}
    return {"text": content.decode("utf-8", "replace"), "note": None}
