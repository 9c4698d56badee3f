"""The staged form of a retry: the jobs that are reset, and the plan that the run gets with them, if it is another one."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from flowq.store.run_upload import pieces

_CHUNK: Final = 500  # entries staged by one call


@dataclass(frozen=True, slots=True)
class ResetJob:
    """One job of a run that a retry resets.

    `pending` counts its edges from jobs that are reset too; `verdict` is a skip reason when an edge from a job that stays as it is
    does not hold; `tally` is, for a group, how many of its cells stay (finished, failed, skipped, canceled). `again`: a foreach whose
    list is evaluated again; its cells go. `fresh`: it takes over no earlier result. `definition` is that in another plan (JSON, see
    `store/lua/lib/redefinition.lua`); with `kept` the job is not reset, and only its dependents are others.
    """

    ordinal: int
    pending: int
    verdict: str = ""
    tally: tuple[int, int, int, int] = (0, 0, 0, 0)
    again: bool = False
    fresh: bool = False
    definition: str = ""
    kept: bool = False

    def entry(self) -> str:
        """Return its staged form, see `store/lua/lib/run_walks.lua`."""
        if self.kept:
            return f"{self.ordinal} kept\t{self.definition}"
        tally = " ".join(map(str, self.tally))
        head = f"{self.ordinal} {self.pending} {self.verdict or '-'} {tally} {int(self.again)} {int(self.fresh)}"
        return f"{head}\t{self.definition}" if self.definition else head


@dataclass(frozen=True, slots=True)
class NewPlan:
    """The plan that a run gets with a retry: its stored form, and the fields of the run's record that belong to it."""

    plan: bytes
    fields: Mapping[str, str | int]

    def entry(self) -> str:
        """Return the staged form of the fields."""
        return f"@\t{json.dumps([str(part) for pair in self.fields.items() for part in pair])}"


def chunks(jobs: Sequence[ResetJob], new: NewPlan | None) -> Iterator[tuple[bytes, list[str]]]:
    """Yield the staged form, call by call: a piece of the plan, and entries."""
    entries = [*([] if new is None else [new.entry()]), *(job.entry() for job in jobs)]
    parts = (entries[start : start + _CHUNK] for start in range(0, len(entries), _CHUNK))
    for piece, some in zip_longest(() if new is None else pieces(new.plan), parts):
        yield piece or b"", some or []
