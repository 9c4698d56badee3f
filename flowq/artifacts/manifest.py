"""The manifest of an artifact: its files, without their contents.

Files that a job fetches may be executed, so with a secret key the list of them is signed, and with it, by their SHA-256, what is in them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flowq import signing
from flowq.artifacts.paths import problem_of, readable
from flowq.exceptions import CorruptRecordError


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file. `path`: relative to the directory of the job that made it; `size` in bytes; `sha256` in hexadecimal."""

    path: str
    size: int
    sha256: str
    executable: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it for programs and expressions."""
        return {"path": self.path, "size": self.size, "sha256": self.sha256}

    def row(self) -> list[Any]:
        """Return it as tasks and stored manifests have it."""
        return [self.path, self.size, self.sha256, self.executable]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of one artifact.

    Attributes:
        files: sorted by path.
        remote: whether their contents are in the file store; else on the server.
        until_ms: when they are removed, by the server's clock; None: with the record of the job.
        signature: "" if it was made without a key.
    """

    files: tuple[ArtifactFile, ...]
    remote: bool = False
    until_ms: int | None = None
    signature: str = ""

    @property
    def size(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.size for file in self.files)

    def expired(self, now_ms: int) -> bool:
        """Return whether the files are kept no longer."""
        return self.until_ms is not None and self.until_ms <= now_ms

    def verify(self, job: str, name: str) -> None:
        """Check that the worker which kept the files has signed the list of them, if there is a key.

        Raises:
            SignatureError: it has not, or the list is another one now, or that of another artifact.
        """
        if signing.is_on():  # a list may be long
            signing.verify(_listed(file.row() for file in self.files), self.signature, *_context(job, name))

    def to_json(self) -> list[dict[str, Any]]:
        """Return the files for programs and expressions."""
        return [file.to_json() for file in self.files]


def written(rows: Iterable[list[Any]], *, remote: bool, job: str, name: str) -> str:
    """Return the stored form of the manifest of an artifact of a job."""
    files = list(rows)
    document: dict[str, Any] = {"remote": remote, "files": files}
    if signing.is_on():
        document["signature"] = signing.signature(_listed(ArtifactFile(*row).row() for row in files), *_context(job, name))
    return json.dumps(document, separators=(",", ":"))


def _listed(rows: Iterable[list[Any]]) -> bytes:
    return json.dumps(list(rows), separators=(",", ":")).encode()


def _context(job: str, name: str) -> tuple[str, ...]:
    return f"artifact {name} of job", job


def read(stored: bytes, job: str) -> Manifest:
    """Return a manifest of "<ms until which it is kept, or -> <its stored form>". `job`: for messages.

    Raises:
        CorruptRecordError: it is none, or has a path that would leave its directory.
    """
    until, _, text = stored.partition(b" ")
    try:
        document = json.loads(text)
        files = tuple(ArtifactFile(*row) for row in document["files"])
        until_ms = None if until == b"-" else int(until)
        found = Manifest(files, bool(document["remote"]), until_ms, str(document.get("signature", "")))
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptRecordError(f"an artifact of job {job} cannot be read: {type(error).__name__}: {error}") from error
    for file in files:
        if problem := problem_of(file.path):
            raise CorruptRecordError(f"an artifact of job {job} cannot be used: {readable(file.path)!r} {problem}")
    return found
