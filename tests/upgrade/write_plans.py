"""Writes the stored plan of a flow into `plans`, with the flowq that executes it, under the version that the plan has.

    git worktree add .old 268629a0
    PYTHONPATH=.old .venv/bin/python tests/upgrade/write_plans.py 268629a0
    git worktree remove .old

Version 4 is written by 96abac05, 5 by 80950a3b, 6 by 268629a0: each has what came with it, and nothing that came later.
"""

import json
import sys
from pathlib import Path

from flowq.compiler import compile_text

FLOWS = {
    "96abac05": """
jobs:
  make: {run: 'mkdir -p out; echo made > out/a.txt', artifacts: {report: out/a.txt}}
  use: {depends_on: make, fetch: {make.report: in/}, run: 'cat in/out/a.txt >> ran'}
""",
    "80950a3b": """
secrets: {TOKEN: {command: [echo, of-a-command]}}
jobs:
  a: {secrets: [TOKEN], run: '[ "$TOKEN" = of-a-command ] && echo secret >> ran'}
""",
    "268629a0": """
jobs:
  m: {matrix: {os: [linux, macos]}, queue: "${{ matrix.os }}", run: 'echo ${{ matrix.os }} >> ran'}
  z: {depends_on: m, queue: linux, run: 'echo z >> ran'}
""",
}


def main() -> None:
    """Write the plan of the flow of a commit."""
    commit = sys.argv[1]
    plan = compile_text(FLOWS[commit], name="flow.yaml").plan
    assert plan is not None
    text = plan.to_json()
    target = Path(__file__).parent / "plans" / f"{json.loads(text)['version']}.json"
    target.write_text(text + "\n")
    print(f"{target} by {commit}")  # noqa: T201 - a program


if __name__ == "__main__":
    main()
