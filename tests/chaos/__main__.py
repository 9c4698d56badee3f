"""`python -m tests.chaos`: rounds of chaos, and the table of what they have shown."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import mutants
from tests.chaos.cast import Setting
from tests.chaos.report import SLACK, document, late, problems, table
from tests.chaos.rounds import Findings, play
from tests.support import kinds


def main() -> int:
    """Play rounds until the time is over; return 1 when a check has found a problem."""
    arguments = _parser().parse_args()
    if missing := kinds.choose(arguments.server):
        sys.exit(missing)
    with tempfile.TemporaryDirectory(prefix="fq-mutant-", dir="/tmp") as directory:
        package = mutants.seed(mutants.MUTANTS[arguments.mutant], Path(directory)) if arguments.mutant else None
        rounds = _rounds(arguments, package)
    sys.stdout.write(f"\n{table(rounds)}\n")
    is_late = late(rounds, arguments.lease)
    if is_late:
        sys.stdout.write(f"recovery after a lost worker is late: the goal for p99 is {arguments.lease + SLACK:g} s\n")
    return int(any(item.broken for item in rounds) or (arguments.punctual and is_late))


def _rounds(arguments: argparse.Namespace, package: Path | None) -> list[Findings]:
    rounds: list[Findings] = []
    end = time.monotonic() + arguments.minutes * 60
    while not rounds or time.monotonic() < end:
        setting = Setting(
            arguments.seed + len(rounds), arguments.seconds, arguments.lease, arguments.calm, package, arguments.server
        )
        findings = play(setting, arguments.keep)
        rounds.append(findings)
        if arguments.json:
            arguments.json.write_text(json.dumps(document(rounds), indent=1) + "\n")
        sys.stdout.write(
            f"seed {setting.seed}: {findings.faults.total()} faults, {findings.jobs} jobs, {findings.executions} executions,"
            f" {findings.seconds:.0f} s\n"
        )
        if findings.broken:
            again = (
                f"python -m tests.chaos --seed {setting.seed} --minutes 0 --seconds {setting.seconds:g} --lease {setting.lease:g}"
                f" --server {setting.server}"
            )
            sys.stdout.write(f"{problems(findings)}\n  again: {again}\n")
        sys.stdout.flush()
        if findings.broken and arguments.mutant:
            break
    return rounds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round has the next one")
    parser.add_argument("--minutes", type=float, default=1.0, help="begin new rounds for so long; 0: one round")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long a round has faults")
    parser.add_argument("--lease", type=float, default=2.0, help="of the workers, in seconds")
    parser.add_argument("--calm", type=float, default=15.0, help="seconds without progress after which what is left is stuck")
    parser.add_argument("--server", choices=kinds.KINDS, default=kinds.KINDS[0], help="the kind of the server")
    parser.add_argument("--mutant", choices=sorted(mutants.MUTANTS), help="run a flowq with this mistake, until it is found")
    parser.add_argument(
        "--punctual", action="store_true", help="late recovery is a problem too; for a machine with nothing else to do"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write figures and rounds to this file, after each round")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of rounds with problems here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
