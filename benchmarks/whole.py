"""Whole runs: `flowq run` of a big flow from the command to its end, with the CPU time and the memory of each process that takes part.

The flow is executed on an embedded server of its own, with jobs that do nothing, so all of it is overhead. CPU time says on a busy machine
what wall time says on an idle one.

    python -m benchmarks.whole                                         # 10,000 jobs, a process per job
    python -m benchmarks.whole --jobs 2000 --workers 1 --shapes argv shell    # programs and scripts in place of calls
    python -m benchmarks.whole --jobs 100000 --isolation batch --shapes stencil foreach
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks import flows

_ROOT: Final = Path(__file__).parent.parent
_LOOK: Final = 0.1  # s between looks at the processes
_COLUMNS: Final = 100  # of a stencil
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MEASURED: Final = ("command", "supervisor", "fork servers", "horses", "server")
_WORDS: Final = (
    *(("flowq-witness", "keeper"), ("flowq.embedded", "keeper"), ("flowq.worker.main", "supervisor")),
    *(("valkey", "server"), ("redis-server", "server")),
)


def _noop(name: str, parents: Sequence[str]) -> str:
    return f"  {name}: {{call: 'benchmarks.noop:noop', depends_on: [{', '.join(parents)}]}}"


def stencil(jobs: int) -> str:
    """Return a grid of jobs, each of which waits for its column and those beside it in the row before."""
    lines = ["jobs:"]
    for number in range(jobs):
        row, column = divmod(number, _COLUMNS)
        near = range(max(column - 1, 0), min(column + 2, _COLUMNS)) if row else ()
        lines.append(_noop(f"s{row}-c{column}", [f"s{row - 1}-c{other}" for other in near]))
    return "\n".join(lines) + "\n"


def chain(jobs: int) -> str:
    """Return jobs that wait for three earlier ones, the one before among them: one runs at a time."""
    return flows.text(jobs, flows.nothing)


def fan(jobs: int) -> str:
    """Return one job, many that depend on it, and one that depends on those."""
    middle = [f"part-{number}" for number in range(jobs - 2)]
    return "\n".join(["jobs:", _noop("first", []), *(_noop(name, ["first"]) for name in middle), _noop("last", middle)]) + "\n"


def foreach(jobs: int) -> str:
    """Return a job that makes a list, and one with a cell for each item."""
    listing = f"  numbers: {{call: 'json:loads', args: ['{json.dumps([*range(jobs - 1)])}']}}"
    cells = "  cell: {call: 'benchmarks.noop:noop', foreach: '${{ jobs.numbers.result }}', depends_on: [numbers]}"
    return f"jobs:\n{listing}\n{cells}\n"


def argv(jobs: int) -> str:
    """Return jobs without dependencies, each of which is a program."""
    return "\n".join(["jobs:", *(f"  c-{number}: {{run: ['true']}}" for number in range(jobs))]) + "\n"


def shell(jobs: int) -> str:
    """Return jobs without dependencies, each of which is a script."""
    return "\n".join(["jobs:", *(f"  c-{number}: {{run: 'true'}}" for number in range(jobs))]) + "\n"


SHAPES: Final[Mapping[str, Callable[[int], str]]] = {
    shape.__name__: shape for shape in (stencil, chain, fan, foreach, argv, shell)
}


@dataclass(slots=True)
class Usage:
    """What the processes of a role have used: seconds of CPU time, and the peak of the largest one's memory in bytes."""

    seconds: float = 0.0
    peak: int = 0


@dataclass(slots=True)
class Watch:
    """A look at the processes of a run, again and again: what they had used when they were seen last.

    `home`: a directory that all have in their environment or arguments, and no other process has. `command`: the process id of the command.
    """

    home: str
    command: int
    _seen: dict[int, tuple[str, float, float, int]] = field(
        default_factory=dict
    )  # by process: role, own and children's seconds, peak

    def look(self) -> None:
        """Note what each process has used."""
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                self._note(process)

    def _note(self, process: Path) -> None:
        pid = int(process.name)
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            if self.home not in words + (process / "environ").read_bytes().decode(errors="replace"):
                return
            times = (process / "stat").read_text().rpartition(")")[2].split()
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            return  # it has ended
        own, children = (sum(map(int, times[at : at + 2])) / _TICKS for at in (11, 13))
        peak = int(status.get("VmHWM", "0 kB").split()[0]) * 1024
        self._seen[pid] = (self._role(pid, words, int(times[1])), own, children, peak)

    def _role(self, pid: int, words: str, parent: int) -> str:
        """Return the role of a process, which may not have become what it is to be when it was seen first."""
        if pid == self.command:
            return "command"
        known = next((role for word, role in _WORDS if word in words), "")
        below = {"supervisor": "fork servers", "fork servers": "horses", "horses": "horses"}
        role = known or below.get(self._seen.get(parent, ("",))[0])
        return role or self._seen.get(pid, ("keeper",))[0]

    def usage(self) -> dict[str, Usage]:
        """Return what each role has used. Horses are counted as children of their fork servers, which wait for them."""
        found = {role: Usage() for role in _MEASURED}
        for role, own, children, peak in self._seen.values():
            use = found.setdefault(role, Usage())
            use.peak = max(use.peak, peak)
            if role == "fork servers":
                found["horses"].seconds += children
            if role != "horses":
                use.seconds += own
        return found


def measure(text: str, slots: int) -> tuple[float, dict[str, Usage]]:
    """Run a flow; return the seconds from the command to its end, and what the processes used."""
    with tempfile.TemporaryDirectory(prefix="fq-whole-") as folder:
        path, home = Path(folder) / "flow.yaml", Path(folder) / "home"
        path.write_text(text, encoding="utf-8")
        home.mkdir(mode=0o700)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLOWQ_")}
        environment |= {"FLOWQ_HOME": str(home), "HOME": str(home), "PYTHONPATH": str(_ROOT)}
        command = [sys.executable, "-m", "flowq", "run", str(path), "--workers", str(slots), "--output", "quiet"]
        begun = time.perf_counter()
        with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            watch = Watch(folder, process.pid)
            while process.poll() is None:
                watch.look()
                time.sleep(_LOOK)
            took = time.perf_counter() - begun
            assert process.stdout is not None
            said = process.stdout.read().decode(errors="replace")
        subprocess.run([*command[:3], "server", "stop"], env=environment, cwd=_ROOT, capture_output=True, check=False)
    if process.returncode:
        raise SystemExit(f"flowq run ended with {process.returncode}:\n{said}")
    return took, watch.usage()


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.whole", description="Measure `flowq run` of big flows from command to end."
    )
    parser.add_argument("--jobs", type=int, default=10_000, help="number of jobs (default: 10000)")
    parser.add_argument("--workers", type=int, default=2, help="slots, as of flowq run (default: 2)")
    parser.add_argument("--isolation", choices=("job", "batch"), nargs="+", default=["job"], help="of the jobs (default: job)")
    parser.add_argument("--shapes", choices=[*SHAPES], nargs="+", default=["stencil"], help="of the graph (default: stencil)")
    options = parser.parse_args(argv)
    print(
        f"flowq run of {options.jobs:,} jobs that do nothing, {options.workers} slots, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'':<18}{'wall s':>9}{'CPU s':>9}" + "".join(f"{role:>17}" for role in _MEASURED))
    print(f"{'':<36}" + f"{'CPU s   MB':>17}" * len(_MEASURED))
    for shape in options.shapes:
        for isolation in options.isolation:
            text = f"defaults: {{isolation: {isolation}}}\n" + SHAPES[shape](options.jobs)
            took, usage = measure(text, options.workers)
            total = sum(use.seconds for use in usage.values())
            cells = (f"{usage[role].seconds:>10.1f}{usage[role].peak / 1e6:>7.0f}" for role in _MEASURED)
            print(f"{shape + ', ' + isolation:<18}{took:>9.1f}{total:>9.1f}" + "".join(cells), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
