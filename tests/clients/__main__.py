"""`make clients`: the tests of all packages, on RQ and on flowq, as a table.

The exit code is 1 if a test that passes on RQ fails on flowq and is not in `differing`, or is there and passes.
"""

import sys

from tests.clients.environments import source
from tests.clients.packages import ALL, Package
from tests.clients.suites import outcomes, without_parameters
from tests.support.server import PrivateServer


def main() -> int:
    """Run the tests, print the table, and return the exit code."""
    wanted = [package for package in ALL if not sys.argv[1:] or package.name in sys.argv[1:]]
    complaints: list[str] = []
    _write("| package | on RQ | on flowq |\n|---|---|---|")
    for package in wanted:
        if not source(package).exists():
            _write(f"| {package.name} {package.version} | – | – |")
            continue
        passing = _passed(package, "rq")
        on_flowq = _passed(package, "flowq")
        _write(f"| {package.name} {package.version} | {len(passing)} | {len(passing & on_flowq)} |")
        complaints += _complaints(package, passing, on_flowq)
    _write("\n".join(complaints))
    return 1 if complaints else 0


def _complaints(package: Package, passing: set[str], on_flowq: set[str]) -> list[str]:
    failing = {without_parameters(name) for name in passing - on_flowq}
    known = set(package.differing)
    return [
        *(f"{package.name}: {name} fails on flowq" for name in sorted(failing - known)),
        *(f"{package.name}: {name} passes on flowq, but is in tests/clients/differing.py" for name in sorted(known - failing)),
    ]


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _passed(package: Package, kind: str) -> set[str]:
    server = PrivateServer().start()
    try:
        return {name for name, outcome in outcomes(package, kind, server).items() if outcome == "passed"}
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
