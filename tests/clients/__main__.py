"""`make clients`: the tests of all packages, on RQ and on flowq, as a table.

The exit code is 1 if a test that passes on RQ fails on flowq and is not in the table of `packages`, or is there and does not fail.
"""

import sys

from tests.clients.environments import source
from tests.clients.packages import ALL, Package
from tests.clients.suites import outcomes
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
        differing = passing - on_flowq
        complaints += [f"{package.name}: {name} fails on flowq" for name in sorted(differing - set(package.differing))]
        complaints += [f"{package.name}: {name} passes on both" for name in sorted(set(package.differing) & on_flowq)]
    _write("\n".join(complaints))
    return 1 if complaints else 0


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
