"""The `flowq` script, and `python -m flowq`."""

import sys
from typing import Final

from flowq import distribution, processes

_SERVICES: Final = frozenset({"worker", "worker-pool", "cron"})  # they are stopped by signals, with exit code 0


def main() -> None:
    """Run the command line."""
    leave = processes.leaving()
    try:
        _run()
    except SystemExit as end:
        if isinstance(end.code, int):
            leave(end.code)
        raise


def _run() -> None:
    """Run the command of `sys.argv`.

    Where an argument may be the name of a service, stop signals wait until the command is known: the imports before that take a tenth of
    a second. The other commands need neither that nor the import of `signal`.
    """
    _warn_of_foreign()
    if _SERVICES.isdisjoint(sys.argv):
        from flowq.cli.main import main as run

        run()
        return
    from flowq.worker import signals

    signals.hold()
    from flowq.cli.main import main as run

    run(_begin)


def _warn_of_foreign() -> None:
    version = distribution.find_foreign()
    if version and sys.stderr is not None:
        sys.stderr.write(f"warning: {distribution.describe(version)}: {distribution.REMEDY}\n")


def _begin(command: str) -> None:
    from flowq.worker import signals

    if command in _SERVICES:
        signals.leave_when_stopped()
    else:
        signals.release()


if __name__ == "__main__":
    main()
