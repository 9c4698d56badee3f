"""The format of log lines, and what a process with it finds out for each."""

import subprocess
import sys

import pytest

FORMAT = "%(process)d %(processName)s %(threadName)s %(module)s %(funcName)s %(lineno)d %(message)s"
OWN_HANDLER = f"""
import logging, sys
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(logging.Formatter({FORMAT!r}))
log = logging.getLogger("another")
log.propagate = False
"""
LOG = "\ndef told():\n    log.error('said')\ntold()\n"


def lines(code: str) -> tuple[list[str], str]:
    """Run such a program; return the lines that it printed, and its standard error."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines(), done.stderr


def start(log_format: str, *more: str) -> str:
    arguments = ", ".join([repr("info"), repr(log_format), repr("%H"), *more])
    return f"\nfrom flowq.log_format import log_to_stderr\nlog_to_stderr({arguments})\n"


@pytest.mark.parametrize(
    "code",
    [
        f"{OWN_HANDLER}log.addHandler(handler)\n{start('%(message)s')}{LOG}",
        f"{OWN_HANDLER}logging.getLogger().addHandler(handler)\nlog.propagate = True\n{start('%(message)s', 'sparing=True')}{LOG}",
    ],
    ids=["beside flowq's", "in place of flowq's"],
)
def test_handlers_of_others_are_told_all_that_they_write(code: str) -> None:
    (line,), error = lines(code)
    number, *rest = line.split()
    assert int(number) > 0
    assert rest[:4] == ["MainProcess", "MainThread", "<string>", "told"]
    assert int(rest[4]) > 0
    assert error == ""


@pytest.mark.parametrize(
    "asked", ["%(process)d", "%(processName)s", "%(threadName)s", "%(thread)d", "%(lineno)d", "%(module)s"]
)
def test_a_sparing_process_finds_out_what_its_format_asks_for(asked: str) -> None:
    code = f"import logging\nlog = logging.getLogger('flowq')\n{LOG}"
    _, sparing = lines(start(f"[{asked} %(message)s]", "sparing=True") + code)
    _, usual = lines(start(f"[{asked} %(message)s]") + code)
    if asked not in {"%(process)d", "%(thread)d"}:
        assert sparing == usual
    assert sparing.startswith("[")
    assert "None" not in sparing
    assert sparing.endswith(" said]\n")


@pytest.mark.parametrize(("dates", "shown"), [("%S", ["00", "00", "01"]), ("", [",000", ",500", ",000"])])
def test_times_are_those_of_the_records(dates: str, shown: list[str]) -> None:
    code = f"""
import logging
from flowq.log_format import formatter_of
made = formatter_of("%(asctime)s", {dates!r})
for at in (60.0, 60.5, 61.0):
    print(made.format(logging.makeLogRecord({{"created": at, "msecs": (at % 1) * 1000}})))
"""
    found, _ = lines(code)
    assert [line[-len(end) :] for line, end in zip(found, shown, strict=True)] == shown
