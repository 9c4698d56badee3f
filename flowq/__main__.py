"""The `flowq` script, and `python -m flowq`."""

from typing import Final

from flowq.worker import signals

_SERVICES: Final = frozenset({"worker", "worker-pool", "cron"})  # they are stopped by signals, with exit code 0


def main() -> None:
    """Run the command line.

    Stop signals wait until it is known which command they are for: the imports before take a tenth of a second.
    """
    signals.hold()
    from flowq.cli.main import main as run

    run(_begin)


def _begin(command: str) -> None:
    if command in _SERVICES:
        signals.leave_when_stopped()
    else:
        signals.release()


if __name__ == "__main__":
    main()
