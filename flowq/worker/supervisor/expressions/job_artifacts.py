"""The parts of a task that are about artifacts: what the job fetches, what of it is kept, and the file store for both."""

import os
import posixpath
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowq.artifacts.limits import MAX_FETCHED
from flowq.artifacts.manifest import ArtifactFile, Manifest
from flowq.artifacts.paths import readable
from flowq.exceptions import ConfigError, SignatureError
from flowq.expr import render, to_text
from flowq.ids import member_id
from flowq.plan import Artifact, Fetch, Json
from flowq.states import JobStatus
from flowq.worker.supervisor.expressions.job_outputs import Shape, cells_of_nodes
from flowq.worker.supervisor.expressions.job_scope import JobPlace, UnpreparableError

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.ipc.messages import Task


def artifact_parts(store: "Store", place: JobPlace, scope: Mapping[str, Json]) -> "Task":
    """Return the keys `fetch`, `artifacts` and `store` of the task of a job, where it has them.

    Raises:
        UnpreparableError: what it fetches is not there, is too much, or has no place.
    """
    node = place.node
    found: Task = {}
    if node.fetch:
        found["fetch"] = _Fetches(store, place, scope).all()
    if node.artifacts:
        found["artifacts"] = [_asked(item, scope) for item in node.artifacts]
    try:
        url = store.artifacts.file_store() if found else ""
    except ConfigError as error:
        raise UnpreparableError(f"{place.where}: {error}") from error
    if url:
        found["store"] = {"url": url, "python": sys.executable}
    return found


def _asked(item: Artifact, scope: Mapping[str, Json]) -> dict[str, Any]:
    return {
        "name": item.name,
        "path": [to_text(render(pattern, scope)) for pattern in item.path],
        "always": item.always,
        "keep": None if item.keep is None else int(item.keep * 1000),
    }


def must_match(artifacts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the patterns of a task's `artifacts` for which there must be files: a cached result is of use only with them."""
    patterns = (pattern for item in artifacts for pattern in item["path"])
    return [pattern for pattern in patterns if not pattern.startswith("!") and not pattern.endswith("?")]


class _Fetches:
    """What one job fetches."""

    def __init__(self, store: "Store", place: JobPlace, scope: Mapping[str, Json]) -> None:
        self._store = store
        self._place = place
        self._scope = scope
        self._size = 0
        self._taken: dict[str, tuple[str, str]] = {}  # place of a file -> its digest, and whose it is

    def all(self) -> list[dict[str, Any]]:
        """Return the items of the task."""
        shape = self._place.run.shape
        names = tuple(dict.fromkeys(item.job for item in self._place.node.fetch))
        cells = cells_of_nodes(self._store, shape, names)
        return [part for item in self._place.node.fetch for part in self._parts(item, shape, cells[item.job])]

    def _parts(self, item: Fetch, shape: Shape, ordinals: Sequence[int]) -> list[dict[str, Any]]:
        jobs = [member_id(shape.run, ordinal) for ordinal in ordinals]
        statuses = self._store.jobs.get_many(jobs)
        several = shape.nodes[item.job].matrix or shape.nodes[item.job].foreach is not None
        to = self._directory(item)
        now_ms = self._store.now_ms()
        parts = []
        for job, record, artifacts in zip(jobs, statuses, self._store.artifacts.manifests(jobs), strict=True):
            manifest = artifacts.get(item.artifact)
            if manifest is None:
                skipped = several and record is not None and record.status is JobStatus.SKIPPED
                if item.optional or skipped:
                    continue
                how = "is gone" if record is None else f"is {record.status}"
                raise self._problem(f"job {item.job} has no artifact {item.artifact}: {job} {how}")
            if manifest.expired(now_ms):
                if item.optional:
                    continue
                raise self._problem(f"artifact {item.artifact} of job {item.job} is not kept any more: its `keep` has passed")
            try:
                manifest.verify(job, item.artifact)
            except SignatureError as error:
                raise self._problem(str(error)) from error
            self._take_places(item, job, to, manifest)
            parts.append(self._part(item, job, to, manifest))
        return parts

    def _directory(self, item: Fetch) -> str:
        to = to_text(render(item.to, self._scope))
        if not to.strip() or os.path.isabs(to) or ".." in to.split("/") or "\0" in to:
            raise self._problem(f"{to[:100]!r} is no directory below that of the job")
        return posixpath.normpath(to)

    def _take_places(self, item: Fetch, job: str, to: str, manifest: Manifest) -> None:
        for file in manifest.files:
            full = posixpath.normpath(f"{to}/{file.path}")
            digest, other = self._taken.setdefault(full, (file.sha256, job))
            if digest != file.sha256:
                raise self._problem(
                    f"{item.job}.{item.artifact}: {other} and {job} both have a file for {readable(full)}, with another content:"
                    " let the path tell the cell, or give each job a directory of its own"
                )

    def _part(self, item: Fetch, job: str, to: str, manifest: Manifest) -> dict[str, Any]:
        contents: dict[str, bytes] = {}
        if not manifest.remote:
            self._size += manifest.size
            if self._size > MAX_FETCHED:
                raise self._problem(
                    f"more than {MAX_FETCHED // 1024**2} MiB would come from the server: set FLOWQ_STORE, so that all but small"
                    " artifacts are kept in a file store"
                )
            contents = self._contents(item, job, manifest.files)
        return {
            "name": f"{item.job}.{item.artifact}",
            "to": to,
            "files": [file.row() for file in manifest.files],
            "contents": contents,
        }

    def _contents(self, item: Fetch, job: str, files: Sequence[ArtifactFile]) -> dict[str, bytes]:
        digests = list(dict.fromkeys(file.sha256 for file in files))
        found = self._store.artifacts.contents(job, item.artifact, digests)
        there = {digest: content for digest, content in zip(digests, found, strict=True) if content is not None}
        missing = [file.path for file in files if file.sha256 not in there]
        if missing:
            raise self._problem(f"{item.job}.{item.artifact}: {readable(missing[0])} is missing on the server")
        return there

    def _problem(self, text: str) -> UnpreparableError:
        return UnpreparableError(f"{self._place.where}: fetch: {text}")
