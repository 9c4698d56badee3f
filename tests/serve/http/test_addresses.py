"""The addresses that commands print answer when they are followed."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.process import flowq
from tests.support.page_server import PageServer
from tests.support.wait import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def follow(address: str) -> dict[str, Any]:
    """Open the address of a run's page as a browser does: the page, a session, and the run."""
    page = PageServer.__new__(PageServer)
    base, _, token = address.partition("#token=")
    page.port = int(base.split(":")[2].partition("/")[0])
    with urllib.request.urlopen(base, timeout=10) as answer:  # noqa: S310 - an address of this machine
        assert answer.status == 200
    opened = page.api("POST", "/session", {"token": token})
    assert opened.status == 200, opened.body
    cookie = opened.headers["set-cookie"].partition(";")[0]
    run = page.api("GET", f"/runs/{base.rpartition('/')[2]}", headers={"Cookie": cookie})
    assert run.status == 200, run.body
    pid = [item["pid"] for item in page.api("GET", "/serves", headers={"Cookie": cookie}).document["items"] if item["current"]]
    return {"run": run.document, "pid": pid[0]}


def end(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{pid}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"

    until(gone, timeout=15, message="the page to end")


def test_a_run_prints_the_address_of_its_page(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    first = flowq("run", "a.yaml", "--ui", cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    (address,) = re.findall(r"^page: (\S+)$", first.stderr, re.MULTILINE)
    found = follow(address)
    try:
        assert (found["run"]["flow"], found["run"]["status"]) == ("a", "finished")
        second = flowq("run", "a.yaml", "--ui", cwd=tmp_path)
        (other,) = re.findall(r"^page: (\S+)$", second.stderr, re.MULTILINE)
        again = follow(other)
        assert again["pid"] == found["pid"]  # the page that is there is used
        assert again["run"]["id"] != found["run"]["id"]
    finally:
        end(found["pid"])


def test_a_page_that_is_not_used_ends(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    flowq("run", "a.yaml", cwd=tmp_path)
    with PageServer("--idle=2s", log=tmp_path / "log") as page:
        assert page.ask("GET", "/healthz").status == 200
        assert page.process.wait(20) == 0


def test_make_run_ends_with_a_command_that_opens_the_page_of_its_run(home: Path, tmp_path: Path) -> None:
    recipe = (ROOT / "Makefile").read_text().partition("\nrun:")[2].partition("\n\n")[0]
    assert "'.[serve]'" in (ROOT / "Makefile").read_text()
    (said,) = re.findall(r'echo "\$\(BIN\)/flowq (ui [^"]*)"', recipe)
    flows = ROOT / "examples" / "flows"
    (tmp_path / "a.yaml").write_text("jobs: {a: {run: 'true'}}\n")
    flowq("run", "a.yaml", cwd=tmp_path)
    arguments = said.replace("$(FLOWS)", str(flows)).split()
    log = tmp_path / "log"
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "flowq", *arguments], cwd=tmp_path, stdout=output, stderr=output)
    try:
        until(lambda: "Ctrl+C stops" in log.read_text() or process.poll() is not None, timeout=30)
        assert follow(log.read_text().split()[0])["run"]["flow"] == "a"
    finally:
        process.terminate()
        assert process.wait(15) == 0
