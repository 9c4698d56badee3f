"""Errors of a shell, which name a line of the script, and the line of the flow file that it is."""

from pathlib import Path

import pytest

from flowq.flows.explain.script_lines import script_line
from flowq.plan import SourcePlace
from tests.cli.process import flowq

FLOW = """\
jobs:
  good: {run: "true"}
  bad:
    matrix: {who: [world]}
    run: |
      # greet: a comment

      echo "hello ${{ matrix.who }}"
      no_such_command
      echo done
"""


def test_the_summary_and_the_logs_say_which_line_of_the_flow_a_shell_names(home: object, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(FLOW)
    run = flowq("run", "f.yaml", cwd=tmp_path)
    assert "script: line 4: no_such_command: command not found\n  line 4 of the script is f.yaml:9\n" in run.stdout
    shown = flowq("logs", "@latest", "bad", cwd=tmp_path)
    assert shown.stderr == "line 4 of the script is f.yaml:9\n"
    assert flowq("logs", "@latest", cwd=tmp_path).stderr == "bad[who=world]: line 4 of the script is f.yaml:9\n"
    assert flowq("logs", "@latest", "good", cwd=tmp_path).stderr == "nothing was printed\n"


SCRATCH = b"/tmp/flowq-scratch-a1b2/3-1/script"
FILE = """\
templates:
  shared:
    run: |
      first
      echo "${{ params.x }} now"
      third
jobs:
  folded:
    run: >
      one
      two
  other:
    run: |-
      first
      echo "${{ params.y }}"
  again:
    run: |-
      first
      echo "${{ params.y }}"
"""


@pytest.mark.parametrize(
    ("script", "line", "output", "shown"),
    [
        ('first\necho "${FLOWQ_V1} now"\nthird\n', 8, SCRATCH + b": line 2: x", "line 2 of the script is f.yaml:5"),  # bash
        ('first\necho "${FLOWQ_V1} now"\nthird\n', 1, SCRATCH + b": 3: x", "line 3 of the script is f.yaml:6"),  # dash
        ('first\necho "${FLOWQ_V1} now"\nthird\n', 1, b'  File "' + SCRATCH + b'", line 1', "line 1 of the script is f.yaml:4"),
        ('first\necho "${FLOWQ_V1} now"\nthird\n', 1, SCRATCH + b": line 4: x", ""),  # has no such line
        ('first\necho "${FLOWQ_V1}"', 12, SCRATCH + b": line 2: x", "line 2 of the script is f.yaml:15"),
        ('first\necho "${FLOWQ_V1}"', 16, SCRATCH + b": line 2: x", "line 2 of the script is f.yaml:19"),
        ("one two\n", 8, SCRATCH + b": line 1: x", ""),
        ("first\nchanged\nthird\n", 1, SCRATCH + b": line 2: x", ""),
        ("first\nsecond\n", 1, b"/tmp/other/script: line 2: x", ""),
    ],
)
def test_a_script_is_found_where_the_file_has_it_line_by_line(
    script: str, line: int, output: bytes, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.yaml").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    assert script_line(SourcePlace(str(tmp_path / "f.yaml"), line, script), [b"before", output, b"after"]) == shown
    assert script_line(SourcePlace(str(tmp_path / "gone.yaml"), line, script), [output]) == ""
    assert script_line(SourcePlace("", line, script), [output]) == ""
