"""Artifacts of other jobs, put into the directory of a job before it begins."""

from __future__ import annotations

import os

from flowq.artifacts.paths import problem_of, readable
from flowq.artifacts.writing import WriteError, new_file, place_for
from flowq.worker.horse.artifacts.transfers import TransferError, move

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from flowq.worker.ipc.messages import Task


def put_in_place(item: dict[str, Any], base: str, store: Task | None) -> None:
    """Write the files of one item of `fetch`, each of which is checked.

    Args:
        item: see `flowq.worker.ipc.messages`.
        base: directory of the job, without links.
        store: the file store, if the worker has one.

    Raises:
        TransferError: a file is missing, altered or cannot be written; it names the file.
    """
    import hashlib

    try:
        os.makedirs(os.path.join(base, item["to"]), exist_ok=True)
    except OSError as error:
        raise TransferError(f"{item['name']}: the directory {item['to']} cannot be made: {error.strerror}") from error
    root = os.path.realpath(os.path.join(base, item["to"]))
    far: list[list[Any]] = []
    for path, _size, digest, executable in item["files"]:
        shown = f"{item['name']}: {readable(path)}"
        if problem := problem_of(path):
            raise TransferError(f"{shown} {problem}")
        try:
            full = place_for(root, path)
            if digest not in item["contents"]:
                far.append([full, digest, executable])
                continue
            content = item["contents"][digest]
            if hashlib.sha256(content).hexdigest() != digest:
                raise TransferError(f"{shown} was altered on the server: its SHA-256 is another one")
            with new_file(full, executable=executable) as target:
                target.write(content)
        except WriteError as error:
            raise TransferError(f"{shown}: {error}") from error
    if far and store is None:
        raise TransferError(
            f"{item['name']} is in a file store, and this worker has none: set FLOWQ_STORE as where it was kept"
        )
    if far and store is not None:
        move(store, get=far)
