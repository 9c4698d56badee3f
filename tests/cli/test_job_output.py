"""The output of jobs: colours, progress bars and other control sequences, on terminals and in pipes."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowq.cli.render.job_output import job_lines, without_tabs
from flowq.cli.render.styled_text import paint
from flowq.flows.views.job_output import output_lines, plain_output
from tests.cli.process import Process, on_terminal
from tests.cli.test_untrusted_text import is_harmless

SGR = re.compile(r"\x1b\[[0-9;:]+m")

FLOW = r"""
name: noisy
jobs:
  noisy:
    run: |
      printf '\033[1;31mred\033[0m plain\n'
      printf '\r 10%%\r 50%%\r100%%\n'
      printf '\033]0;title\007named\033[2J\n'
      printf 'greeting\n'
  fails:
    depends_on: [noisy]
    run: "echo \"$WORDS\"; printf '\\033[32mgreen\\033[0m\\n'; exit 3"
    env: {WORDS: "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"}
"""


def plain(data: bytes) -> list[str]:
    """Return output as a pipe gets it."""
    return [paint(line, color=False) for line in job_lines(data)]


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"plain\n", ["plain"]),
        (b"a\n\nb", ["a", "", "b"]),
        (b"\x1b[31mred\x1b[0m and \x1b[1;4mbold\x1b[m", ["red and bold"]),
        (b"\r  0%|   |\r 50%|#  |\r100%|###|\n", ["100%|###|"]),  # tqdm
        (b"\r\x1b[2K   42 kB\r\x1b[2K   90 kB\x1b[?25h\n", ["   90 kB"]),  # pip
        (b"\xe2\xa0\x99\x1b[1G\x1b[0K\xe2\xa0\xb9\x1b[1G\x1b[0Kadded 3 packages\n", ["added 3 packages"]),  # npm
        (b"a\r\nb\r\n", ["a", "b"]),  # lines of Windows
        (b"done\r", ["done"]),
        (b"\r\r\n", [""]),
        (b"\x1b]0;title\x07x\x1b]8;;http://h\x1b\\link\x1b]8;;\x1b\\", ["xlink"]),
        (b"\x1b(B\x1b[mreset", ["reset"]),  # tput sgr0
        (b"\x1b[31", ["\\x1b[31"]),  # not complete
        (b"\x1bP$q\x1b\\", ["\\x1bP$q\\x1b\\"]),
        (b"bell\x07 back\x08", ["bell\\x07 back\\x08"]),
        (b"\xff\x9b31m", ["\\xff\\x9b31m"]),
    ],
)
def test_a_pipe_gets_what_a_terminal_would_show_in_the_end(data: bytes, shown: list[str]) -> None:
    assert plain(data) == shown


@pytest.mark.parametrize(
    ("data", "painted"),
    [
        (b"\x1b[31mred\x1b[1mbold\x1b[0m x", ["\x1b[31mred\x1b[0m\x1b[31;1mbold\x1b[0m x"]),
        (b"\x1b[38;5;8mgrey\x1b[m", ["\x1b[38;5;8mgrey\x1b[0m"]),
        (b"\x1b[38;2;8;8;8;4mrgb", ["\x1b[38;2;8;8;8;4mrgb\x1b[0m"]),
        (b"\x1b[8mhidden\x1b[0m", ["hidden"]),  # a user sees what is copied
        (b"\x1b[41m  \x1b[0m", ["\x1b[41m  \x1b[0m"]),
        (b"\x1b[31mred\nnext line\x1b[0m", ["\x1b[31mred\x1b[0m", "next line"]),  # no colour leaks into other lines
        (
            b"\x1b[1;32mold\x1b[33;44m new\x1b[22m\x1b[39mplain",
            ["\x1b[1;32mold\x1b[0m\x1b[1;33;44m new\x1b[0m\x1b[1;44;22;39mplain\x1b[0m"],
        ),
        (b"\x1b[32m1\r\x1b[33m2\n", ["\x1b[33m2\x1b[0m"]),
    ],
)
def test_a_terminal_gets_the_colours_and_nothing_else(data: bytes, painted: list[str]) -> None:
    assert [paint(line, color=True) for line in job_lines(data)] == painted


def test_standard_error_is_yellow_where_it_has_no_colour() -> None:
    assert [paint(line, color=True) for line in job_lines(b"a\x1b[31mb", "err")] == ["\x1b[33ma\x1b[0m\x1b[31mb\x1b[0m"]


def test_tabs_become_spaces_up_to_the_next_stop() -> None:
    assert without_tabs((("a\tb", "bad"), ("\tc", ""))) == (("a       b", "bad"), ("       c", ""))


@given(st.text(alphabet=st.sampled_from("\x1b[]0123456789;:mKGHJ\r\n\t\x07\\()B?ab é\x9b\u202e")))
def test_no_control_character_is_left(text: str) -> None:
    data = text.encode()
    assert all(is_harmless(line) for line in plain(data))
    assert all(is_harmless(SGR.sub("", paint(line, color=True))) for line in job_lines(data))
    assert is_harmless(plain_output(text))
    assert len(list(output_lines(data))) == len(data.removesuffix(b"\n").split(b"\n"))


@pytest.mark.slow
def test_output_in_pipes_logs_and_reports_is_plain(tmp_path: Path, home: Path) -> None:
    (tmp_path / "noisy.yaml").write_text(FLOW)
    env = {"FLOWQ_HOME": str(home)}
    run = Process("run", "noisy.yaml", "--junit", "report.xml", cwd=tmp_path, env=env)
    assert run.wait() == 1
    lines = run.out.splitlines()
    assert [line for line in lines if line.startswith("noisy | ")] == [
        "noisy | red plain",
        "noisy | 100%",
        "noisy | named",
        "noisy | greeting",
    ]
    assert "fails | green" in lines
    assert "  │ green" in lines
    assert "[32m" not in (tmp_path / "report.xml").read_text()
    logs = Process("logs", "@latest", "noisy", cwd=tmp_path, env=env)
    assert logs.wait() == 0
    assert logs.out == "red plain\n100%\nnamed\ngreeting\n"
    folded = Process("run", "noisy.yaml", "--annotations", "github", cwd=tmp_path, env=env)
    assert folded.wait() == 1
    assert "\nred plain\n100%\nnamed\n" in folded.out


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_the_output_above_the_table(tmp_path: Path, home: Path, width: int) -> None:
    (tmp_path / "noisy.yaml").write_text(FLOW)
    child = on_terminal("run", "noisy.yaml", cwd=tmp_path, env={"FLOWQ_HOME": str(home)}, size=(24, width))
    child.expect("next: ")
    assert child.wait() == 1
    text = child.before or ""
    live, _, summary = text.rpartition("\x1b[?25h")
    for shown in ("100%", "named", "greeting"):
        assert f"noisy | \x1b[0m{shown}\r\n" in live
    assert "\x1b[1;31mred\x1b[0m plain" in live
    assert " 50%" not in text
    assert "title" not in text
    assert "fails failed: " in summary
    assert "fifteen" in summary
    child.close()


@pytest.mark.slow
def test_the_output_of_the_last_job_is_not_lost(tmp_path: Path, home: Path) -> None:
    """The greeting of README's first flow: it is printed when the run has ended, and no frame is due any more."""
    hello = Path(__file__).parents[2] / "examples/flows/hello.yaml"
    child = on_terminal("run", str(hello), "-p", "name=reader", cwd=tmp_path, env={"FLOWQ_HOME": str(home)})
    child.expect("Hello, Bonjour, Habari, reader!")
    child.expect("2 jobs: |4 jobs: ")
    assert child.wait() == 0
    child.close()


@pytest.mark.slow
def test_a_flood_is_cut_and_says_so(tmp_path: Path, home: Path) -> None:
    (tmp_path / "flood.yaml").write_text("name: flood\njobs:\n  flood: {run: seq 1 50000}\n")
    child = on_terminal("run", "flood.yaml", cwd=tmp_path, env={"FLOWQ_HOME": str(home)})
    child.expect(r"\d+ lines left out: flowq logs \w{8}")
    child.expect(r"m50000\r\n")
    assert child.wait() == 0
    child.close()


@pytest.mark.slow
def test_output_lines_and_quiet(tmp_path: Path, home: Path) -> None:
    (tmp_path / "noisy.yaml").write_text(FLOW)
    env = {"FLOWQ_HOME": str(home)}
    lines = on_terminal("run", "noisy.yaml", "--output", "lines", cwd=tmp_path, env=env)
    lines.expect("next: ")
    assert lines.wait() == 1
    assert "\x1b[?25l" not in (lines.before or "")
    assert "noisy | \x1b[0m\x1b[1;31mred\x1b[0m plain\r\n" in (lines.before or "")
    lines.close()
    quiet = Process("run", "noisy.yaml", "--output", "quiet", cwd=tmp_path, env=env)
    assert quiet.wait() == 1
    assert quiet.out.startswith("run ")
    assert "noisy | " not in quiet.out
    assert "fails failed: exit code 3" in quiet.out
    assert quiet.err == ""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run", "x.yaml", "--output", "live"), "--output live needs a terminal"),
        (("run", "x.yaml", "--output", "quiet", "--json"), "choose one"),
        (("run", "x.yaml", "--output", "lines", "--annotations", "github"), "choose one"),
        (("run", "x.yaml", "--output", "lines", "--detach"), "--detach shows nothing"),
        (("retry", "--failed", "--output", "live"), "--output live needs a terminal"),
        (("status", "--output", "lines"), "--output is for --watch"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_anything_runs(
    tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    process = Process(*arguments, cwd=tmp_path)
    assert process.wait() == 2
    assert told in process.err
