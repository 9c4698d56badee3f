"""The artifacts of a run: lists of files, and the files themselves for users."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from flowq.artifacts.blobs import BlobError
from flowq.artifacts.manifest import ArtifactFile, Manifest
from flowq.artifacts.opening import open_blobs
from flowq.artifacts.paths import readable
from flowq.artifacts.writing import WriteError, new_file, place_for
from flowq.exceptions import InvalidJobOperation, UsageError
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Json
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.artifacts.blobs import BlobStore
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class JobArtifact:
    """One artifact of one job."""

    job: JobView
    name: str
    manifest: Manifest


def with_artifacts(store: "Store", run: RunView) -> RunView:
    """Return a view of a run with the artifacts of its jobs. One round trip for all that have some."""
    having = [job for job in run.jobs if job.has_artifacts]
    if not having:
        return run
    found = dict(zip((job.id for job in having), store.artifacts.manifests([job.id for job in having]), strict=True))
    return replace(run, jobs=tuple(replace(job, artifacts=found[job.id]) if job.id in found else job for job in run.jobs))


def every_artifact(run: RunView, ordinals: Sequence[int] | None = None) -> Iterator[JobArtifact]:
    """Yield the artifacts of a run, or of the jobs with these ordinals; jobs in graph order. `run`: see `with_artifacts`."""
    chosen = None if ordinals is None else frozenset(ordinals)
    for job in run.jobs:
        if chosen is None or job.ordinal in chosen:
            yield from (JobArtifact(job, name, manifest) for name, manifest in job.artifacts.items())


def artifacts_of(run: RunView, ordinals: Sequence[int] | None = None, name: str | None = None) -> list[JobArtifact]:
    """Return the artifacts of a run, of some of its jobs, with one name; jobs in graph order.

    Args:
        run: with artifacts, see `with_artifacts`.
        ordinals: of the jobs; None: all.
        name: of the artifact; None: all.

    Raises:
        InvalidJobOperation: there is none.
    """
    every = list(every_artifact(run, ordinals))
    found = [item for item in every if name in {None, item.name}]
    if found:
        return found
    if every:
        raise InvalidJobOperation(
            f"there is no artifact {name!r}: there are {', '.join(dict.fromkeys(one.name for one in every))}"
        )
    jobs = [job for job in run.jobs if ordinals is not None and job.ordinal in ordinals]
    where = f"run {run.id}" if len(jobs) != 1 else f"job {jobs[0].name!r} of run {run.id}"
    state = f" (it is {jobs[0].status})" if len(jobs) == 1 else ""
    raise InvalidJobOperation(f"{where} has no artifacts{state}: jobs leave files by `artifacts` in the flow")


def artifact_json(item: JobArtifact, files: Iterable[ArtifactFile] | None = None) -> dict[str, Json]:
    """Return an artifact for programs, with these of its files; None: with all. Keys are only ever added."""
    chosen = item.manifest.files if files is None else files
    return {
        "job": item.job.name,
        "ordinal": item.job.ordinal,
        "name": item.name,
        "kept_until": iso(item.manifest.until_ms),
        "files": [file.to_json() for file in chosen],
    }


def open_file(store: "Store", item: JobArtifact, digest: str) -> Iterator[bytes]:
    """Yield the content of a file of an artifact, which has been checked.

    Raises:
        InvalidJobOperation: there is no such file, or its content is missing or was altered; before anything is yielded.
        SignatureError: there is a secret key, and the list of files is not signed with it.
    """
    file = next((file for file in item.manifest.files if file.sha256 == digest), None)
    if file is None or item.manifest.expired(store.now_ms()):
        raise InvalidJobOperation(
            f"artifact {item.name} of job {item.job.name} has no file with this SHA-256, or it is not kept any more"
        )
    item.manifest.verify(item.job.id, item.name)
    content = _Contents(store).read(item, file)
    try:
        first = next(content, b"")
    except BlobError as error:
        raise InvalidJobOperation(f"{item.job.name}: {item.name}: {readable(file.path)}: {error}") from error
    return chain((first,), content)


def extract(store: "Store", items: Sequence[JobArtifact], directory: str) -> Iterator[str]:
    """Write the files of artifacts below a directory, each as `<job>/<artifact>/<path>`; yield their paths.

    Raises:
        UsageError: a file is missing or was altered, or cannot be written.
        SignatureError: as of `open_file`.
    """
    root = os.path.realpath(directory)
    files = _Contents(store)
    now_ms = store.now_ms()
    for item in items:
        if item.manifest.expired(now_ms):
            raise UsageError(f"artifact {item.name} of job {item.job.name} is not kept any more: its `keep` has passed")
        item.manifest.verify(item.job.id, item.name)
        for file in item.manifest.files:
            place = f"{_as_name(item.job.name)}/{item.name}/{file.path}"
            try:
                full = place_for(root, place)
                with new_file(full, executable=file.executable) as target:
                    for chunk in files.read(item, file):
                        target.write(chunk)
            except (WriteError, BlobError) as error:
                raise UsageError(f"{item.job.name}: {item.name}: {readable(file.path)}: {error}") from error
            yield f"{directory.rstrip('/')}/{place}"


def _as_name(job: str) -> str:
    """Return a job's name as a path: jobs of a sub-flow are in its directory, values of a matrix may have any characters."""
    name, bracket, values = job.partition("[")
    return name + bracket + values.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")


class _Contents:
    """The contents of artifacts, wherever they are."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._blobs: BlobStore | None = None

    def read(self, item: JobArtifact, file: ArtifactFile) -> Iterator[bytes]:
        """Yield the content of a file, which is checked: the last step may fail.

        Raises:
            BlobError: it is missing or was altered, or there is no file store.
        """
        if item.manifest.remote:
            yield from self._remote(file)
            return
        content = self._store.artifacts.contents(item.job.id, item.name, [file.sha256])[0]
        if content is None:
            raise BlobError("it is missing on the server")
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise BlobError("it was altered on the server: its SHA-256 is another one")
        yield content

    def _remote(self, file: ArtifactFile) -> Iterator[bytes]:
        import tempfile

        if self._blobs is None:
            url = self._store.artifacts.file_store()
            if not url:
                raise BlobError("it is in a file store: set FLOWQ_STORE as the workers have it")
            self._blobs = open_blobs(url)
        with tempfile.TemporaryFile() as copy:
            self._blobs.get(file.sha256, copy)
            copy.seek(0)
            while chunk := copy.read(1024 * 1024):
                yield chunk
