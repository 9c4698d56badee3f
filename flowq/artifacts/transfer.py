"""The program that moves files between a directory and a file store.

It reads one JSON document from its input, and writes one to its output:

    {"url": …, "put": [[file, sha256], …]}                      files that are kept
    {"url": …, "get": [[file, sha256, executable], …]}          files that are made, each complete or not at all

    {"error": text}        "" if all were moved

A process of its own: clients of object stores take tens of megabytes, have threads, and must not meet what a job has imported or patched.
"""

import json
import sys
from typing import Any

from flowq.artifacts.blobs import BlobError, BlobStore
from flowq.artifacts.opening import open_blobs
from flowq.artifacts.paths import readable
from flowq.artifacts.writing import WriteError, new_file


def main() -> None:
    """Do what the input says."""
    json.dump({"error": _done(json.load(sys.stdin))}, sys.stdout)


def _done(asked: dict[str, Any]) -> str:
    """Return why it could not be done, "" if it was."""
    shown = ""
    try:
        store = open_blobs(asked["url"])
        for file, digest in asked.get("put", ()):
            shown = f"{readable(file)}: "
            _put(store, file, digest)
        for file, digest, executable in asked.get("get", ()):
            shown = f"{readable(file)}: "
            with new_file(file, executable=executable) as target:
                store.get(digest, target)
    except (BlobError, WriteError) as error:
        return f"{shown}{error}"
    return ""


def _put(store: BlobStore, file: str, digest: str) -> None:
    try:
        with open(file, "rb") as source:
            store.put(digest, source)
    except OSError as error:  # those of the store are another error
        raise BlobError(f"it cannot be read any more: {error.strerror}") from error


if __name__ == "__main__":
    main()
