"""Turn a workflow graph (flowgraph/1 JSON) into a flow file.

A graph is `{"format": "flowgraph/1", "name", "source", "jobs": [{"id", "deps", "runtime_s", "type"}]}`, jobs in topological order; files
ending in `.gz` are unpacked. The graph is kept; the work of its jobs is replaced by a small action:

    call    call an empty function (the default)
    run     run: ["true"]
    sleep   wait for the job's run time, scaled and capped

    python -m benchmarks.graph2flow ../shared/corpora/graphs/rnaseq-dirt02-001.json --action sleep --scale 0.001 -o rnaseq.yaml
"""

import argparse
import gzip
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FORMAT = "flowgraph/1"
ACTIONS = ("call", "run", "sleep")
_RESERVED = frozenset({"true", "false", "null"})  # YAML does not read these as strings


class GraphError(Exception):
    """The file is not a graph that can be converted; the message says why."""


@dataclass(frozen=True, slots=True)
class GraphJob:
    """One job of a graph. `runtime` is in seconds, 0 if the graph has none."""

    id: str
    parents: tuple[str, ...]
    runtime: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A workflow graph, jobs in topological order."""

    name: str
    source: str
    jobs: tuple[GraphJob, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The actions of the jobs.

    `scale` and `cap` are for action "sleep": seconds of waiting per second of run time, and the longest wait in seconds.
    `module` holds the functions `noop` and `pause`.
    """

    action: str = "call"
    scale: float = 0.001
    cap: float = 0.1
    module: str = "benchmarks.noop"
    queue: str | None = None


def read(path: Path) -> Graph:
    """Read a graph.

    Raises:
        GraphError: the file cannot be read or is not a graph of this format.
    """
    try:
        raw = path.read_bytes()
        document = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (OSError, ValueError) as error:
        raise GraphError(f"{path}: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise GraphError(f'{path}: expected a JSON object with "format": "{FORMAT}"')
    return parse(document)


def parse(document: Mapping[str, object]) -> Graph:
    """Convert a parsed file to a graph.

    Raises:
        GraphError: a job is malformed, duplicate, or depends on a job that is not before it.
    """
    jobs: dict[str, GraphJob] = {}
    rows = document.get("jobs")
    if not isinstance(rows, list):
        raise GraphError('"jobs" must be a list')
    for row in rows:
        job = _job(row)
        if job.id in jobs:
            raise GraphError(f"duplicate job {job.id!r}")
        unknown = [parent for parent in job.parents if parent not in jobs]
        if unknown:
            raise GraphError(f"job {job.id!r} depends on {unknown[0]!r}, which is not before it")
        jobs[job.id] = job
    return Graph(str(document.get("name", "graph")), _source(document.get("source")), tuple(jobs.values()))


def convert(graph: Graph, options: Options = Options()) -> str:
    """Return the text of a flow file with the graph's jobs and edges.

    Raises:
        GraphError: an unknown action.
    """
    if options.action not in ACTIONS:
        raise GraphError(f"unknown action {options.action!r}: one of {', '.join(ACTIONS)}")
    return "\n".join(_lines(graph, options)) + "\n"


def job_names(graph: Graph) -> dict[str, str]:
    """Return the job name in the flow for each id in the graph: legal, unique, and similar to the id."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for job in graph.jobs:
        base = legal_name(job.id)
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name)
        names[job.id] = name
    return names


def legal_name(text: str) -> str:
    """Return a legal name close to `text`: letters, digits, `_` and `-`, a letter first, no reserved word of YAML."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")
    if not name or not name[0].isalpha() or name.lower() in _RESERVED:
        name = f"j-{name}".rstrip("-")
    return name


def _source(source: object) -> str:
    """Return the source and licence of a graph in one line, for a comment in the flow file."""
    if isinstance(source, Mapping):
        source = ", ".join(f"{key} {source[key]}" for key in ("repo", "path", "commit", "licence") if source.get(key))
    return " ".join(str(source or "").split())


def _job(row: object) -> GraphJob:
    match row:
        case {"id": str(name), "deps": list(parents), **rest}:
            runtime = rest.get("runtime_s")
            seconds = float(runtime) if isinstance(runtime, int | float) else 0.0
            return GraphJob(name, tuple(dict.fromkeys(str(parent) for parent in parents)), seconds)
    raise GraphError(f'a job must be an object with "id" and "deps", found {json.dumps(row)[:80]}')


def _lines(graph: Graph, options: Options) -> Iterator[str]:
    names = job_names(graph)
    if graph.source:
        yield f"# The graph of: {graph.source}"
    yield f"name: {legal_name(graph.name)}"
    if options.queue is not None:
        yield f"defaults: {{queue: {json.dumps(options.queue)}}}"
    yield "jobs:"
    for job in graph.jobs:
        yield f"  {names[job.id]}:"
        yield from _action(job, options)
        yield from _depends([names[parent] for parent in job.parents])


def _action(job: GraphJob, options: Options) -> Iterable[str]:
    if options.action == "run":
        return ['    run: ["true"]']
    if options.action == "sleep":
        seconds = min(max(job.runtime, 0.0) * options.scale, options.cap)
        return [f"    call: {options.module}:pause", f"    args: [{seconds:.6f}]"]
    return [f"    call: {options.module}:noop"]


def _depends(parents: Sequence[str]) -> Iterable[str]:
    if not parents:
        return []
    if len(parents) <= 5:
        return [f"    depends_on: [{', '.join(parents)}]"]
    return ["    depends_on:", *(f"      - {parent}" for parent in parents)]


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one file; return 0, or 1 after printing an error to stderr."""
    parser = argparse.ArgumentParser(
        prog="graph2flow", description="Turn a workflow graph (flowgraph/1 JSON) into a flow file."
    )
    parser.add_argument("graph", type=Path, help="the graph, .json or .json.gz")
    parser.add_argument("-o", "--output", type=Path, help="the flow file to write (default: standard output)")
    parser.add_argument("--action", choices=ACTIONS, default="call", help="action of the jobs (default: call)")
    parser.add_argument("--scale", type=float, default=0.001, help="seconds slept per second of run time (default: 0.001)")
    parser.add_argument("--cap", type=float, default=0.1, help="longest sleep in seconds (default: 0.1)")
    parser.add_argument("--module", default="benchmarks.noop", help="module with noop and pause (default: benchmarks.noop)")
    parser.add_argument("--queue", help="the queue of every job")
    options = parser.parse_args(argv)
    try:
        graph = read(options.graph)
        text = convert(graph, Options(options.action, options.scale, options.cap, options.module, options.queue))
    except GraphError as error:
        print(f"graph2flow: {error}", file=sys.stderr)
        return 1
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
