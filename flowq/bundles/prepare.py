"""The program that makes the files of a run ready and then becomes its fork server: `CACHE RUN HASH REQUIRES PROGRAM ARGUMENT…`.

The last argument of the fork server is the descriptor of the lock that keeps the files as long as it lives.

So a supervisor never waits for the unpacking, and a job that needs long-missing packages is told so. Why it ended before that is noted
beside the files; its exit code is `FAILED` then.
"""

import os
import sys
from typing import NoReturn

from flowq.bundles import FAILED
from flowq.bundles.cache import BundleCache
from flowq.bundles.requirements import missing
from flowq.exceptions import FlowqError


def main(arguments: list[str]) -> None:
    """Prepare, and execute the program in the directory of the files."""
    root, run, name, requires, *program = arguments
    cache = BundleCache(root)
    try:
        lock = cache.prepare(run, name)
        directory = cache.directory(run, name)
        os.chdir(directory)
        if requires and (lacks := missing(requires)):
            _fail(cache, run, name, f"this machine lacks {lacks}, which {requires} of the bundle requires")
    except FlowqError as error:
        _fail(cache, run, name, str(error))
    except OSError as error:
        _fail(cache, run, name, f"the files of the run cannot be unpacked: {error}")
    try:
        os.execv(program[0], [*program, str(lock)])
    except OSError as error:
        _fail(cache, run, name, f"{program[0]}, which `python` names, is no Python: it cannot be executed ({error.strerror})")


def _fail(cache: BundleCache, run: str, name: str, why: str) -> NoReturn:
    cache.note_failure(run, name, why)
    sys.exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
