"""The `flowq` script, and `python -m flowq`."""

import sys
from typing import Final

from flowq import distribution
from flowq.worker import signals

_SERVICES: Final = frozenset({"worker", "worker-pool", "cron"})  # they are stopped by signals, with exit code 0


def main() -> None:
    """Run the command line.

    Stop signals wait until it is known which command they are for: the imports before take a tenth of a second.
    """
    signals.hold()
    _warn_of_foreign()
    from flowq.cli.main import main as run

    run(_begin)


def _warn_of_foreign() -> None:
    version = distribution.find_foreign()
    if version and sys.stderr is not None:
        sys.stderr.write(f"warning: {distribution.describe(version)}: {distribution.REMEDY}\n")


def _begin(command: str) -> None:
    if command in _SERVICES:
        signals.leave_when_stopped()
    else:
        signals.release()


if __name__ == "__main__":
    main()
