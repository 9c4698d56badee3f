"""The staged form of a run before it becomes visible: its jobs in chunks, and its plan in pieces that travel with them.

No call is long, whatever the size of the flow: chunks are bounded in jobs and in edges, pieces in bytes, and a plan is read in pieces as well.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from flowq import defaults
from flowq.plan.bulk import record

_EDGES_A_CHUNK: Final = 2000  # children staged by one call at most
_READABLE: Final = 2048  # bytes of a plan that is stored as it is
_PIECE: Final = 64 * 1024  # bytes of a plan that are staged by one call
_READ_AT_ONCE: Final = 1024 * 1024  # bytes of a plan that are read by one call


@record
class StagedJob:
    """One job of a run to be submitted. `children` are `(ordinal, condition)`; `fields` are its record's first fields."""

    ordinal: int
    fields: Mapping[str, str | int]
    children: Sequence[tuple[int, str]]


def calls(run: str, nonce: str, jobs: Iterable[StagedJob], plan: bytes) -> Iterator[tuple[object, ...]]:
    """Yield the arguments of `stage`, call by call."""
    for index, (rows, piece) in enumerate(zip_longest(_chunks(jobs), pieces(plan))):
        yield run, nonce, index, as_rows(rows or ()), piece or b""


def as_rows(jobs: Iterable[StagedJob]) -> bytes:
    """Return jobs as the JSON that `stage` reads."""
    rows = [
        (
            str(job.ordinal),
            [str(part) for pair in job.fields.items() for part in pair],
            [f"{child}|{condition}" for child, condition in job.children],
        )
        for job in jobs
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _pack(plan: bytes) -> bytes:
    """Return the stored form of a plan: of a big one an eighth of its size. The smallest stay readable."""
    return zlib.compress(plan, 1) if len(plan) > _READABLE else plan


def unpack(stored: bytes) -> bytes:
    """Return the plan of its stored form."""
    if stored.startswith(b"{"):
        return stored
    stream = zlib.decompressobj()
    plan = stream.decompress(stored, defaults.MAX_PLAN)
    if stream.unconsumed_tail:
        raise ValueError(f"decompressed, it has more than {defaults.MAX_PLAN:,} bytes")
    return plan


def read(part: Callable[[int, int], bytes]) -> bytes:
    """Return a stored plan, empty where there is none. `part` gets the bytes from one position to another, both included."""
    found = b""
    while piece := part(len(found), len(found) + _READ_AT_ONCE - 1):
        found += piece
        if len(piece) < _READ_AT_ONCE:
            break
    return found


def pieces(plan: bytes) -> Iterator[bytes]:
    """Yield the stored form of a plan in pieces that one call may have."""
    text = _pack(plan)
    for start in range(0, len(text), _PIECE):
        yield text[start : start + _PIECE]


def _chunks(jobs: Iterable[StagedJob]) -> Iterator[list[StagedJob]]:
    chunk: list[StagedJob] = []
    edges = 0
    for job in jobs:
        for part in _parts(job) if len(job.children) > _EDGES_A_CHUNK else (job,):
            chunk.append(part)
            edges += len(part.children)
            if len(chunk) >= defaults.STAGE_CHUNK or edges >= _EDGES_A_CHUNK:
                yield chunk
                chunk, edges = [], 0
    if chunk:
        yield chunk


def _parts(job: StagedJob) -> Iterator[StagedJob]:
    """Yield a job with some of its children, and further children under its ordinal."""
    for start in range(0, len(job.children), _EDGES_A_CHUNK):
        yield StagedJob(job.ordinal, {} if start else job.fields, job.children[start : start + _EDGES_A_CHUNK])
