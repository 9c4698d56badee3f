"""The program that makes the files of a run ready and then becomes its fork server: `RUN HASH REQUIRES PROGRAM ARGUMENT…`.

So a supervisor never waits for the unpacking, and a job that needs long-missing packages is told so. An end before the fork server begins
has one line on stderr that says why, and the exit code `FAILED`.
"""

import os
import sys
from typing import Final

from flowq.bundles.archive import BundleError
from flowq.bundles.cache import BundleCache
from flowq.bundles.requirements import missing
from flowq.exceptions import FlowqError

FAILED: Final = 92
"""The exit code when the files cannot be made ready."""


def main(arguments: list[str]) -> None:
    """Prepare, and execute the program in the directory of the files."""
    run, name, root, requires, *program = arguments
    cache = BundleCache()
    try:
        cache.prepare(run, name)
        directory = cache.directory(run, name)
        os.chdir(directory)
        if requires and (lacks := missing(requires)):
            _fail(f"this machine lacks {lacks}, which {requires} of the bundle requires")
    except (BundleError, FlowqError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"the files of the run cannot be unpacked: {error}")
    os.execv(program[0], program)


def _fail(why: str) -> None:
    sys.stderr.write(f"{why}\n")
    sys.exit(FAILED)


if __name__ == "__main__":
    main(sys.argv[1:])
