"""The JUnit report: its validity, and the element for each end of a job."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from flowq.flows.render.junit import junit_xml
from flowq.flows.views.run_view import RunView
from flowq.states import JobStatus, RunStatus
from tests.cli import samples
from tests.flows.junit_schema import problems


def report(run: RunView, output: dict[int, str] | None = None) -> ET.Element:
    text = junit_xml(run, output or {})
    root = ET.fromstring(text.encode())
    assert problems(root) == []
    return root


def case(root: ET.Element, name: str) -> ET.Element:
    return next(item for item in root.iter("testcase") if item.get("name") == name)


def test_a_failed_run() -> None:
    root = report(samples.failed_run(), {3: "building\nno font\n"})
    suite = root[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "9",
        "failures": "1",
        "errors": "0",
        "skipped": "3",
        "time": "65.400",
    }
    assert suite.get("timestamp") == "2026-01-31T06:00:00"
    bad = case(root, "build[fmt=pdf,lang=de]")
    assert (bad.get("classname"), bad.get("time"), bad.get("line")) == ("nightly-report.build", "0.610", "24")
    assert bad[0].tag == "failure"
    assert bad[0].get("message") == "ValueError: no template for de"
    assert bad[0].text == samples.TRACEBACK
    assert bad[1].text == "building\nno font\n"
    assert len(case(root, "fetch")) == 0
    assert case(root, "spellcheck")[0].get("message") == "failed, but is allowed to: exit code 2"
    assert case(root, "publish")[0].get("message") == "skipped: upstream_failed"


def test_jobs_that_took_several_attempts_are_named() -> None:
    run = samples.failed_run()
    jobs = tuple(replace(job, attempts=3) if job.name == "fetch" else replace(job, attempts=1) for job in run.jobs)
    found = {item.get("name"): item.get("value") for item in report(replace(run, jobs=jobs)).iter("property")}
    assert {name: value for name, value in found.items() if name and ".attempts." in name} == {"flowq.attempts.fetch": "3"}


def test_an_active_run() -> None:
    root = report(samples.running_run())
    assert case(root, "publish")[0].tag == "skipped"
    assert root[0].get("tests") == "9"


@pytest.mark.parametrize("reason", ["timeout", "abandoned", "killed", "expired"])
def test_a_job_ended_from_outside_is_an_error(reason: str) -> None:
    jobs = {0: samples.job(0, JobStatus.FAILED, at=0, took=1, reason=reason)}
    run = samples.view(samples.report_plan(), samples.run_record(RunStatus.FAILED, 9, ended=1), jobs, {}, frozenset())
    found = case(report(run), "list-files")[0]
    assert (found.tag, found.get("type")) == ("error", reason)


def test_text_that_xml_cannot_hold() -> None:
    hostile = "]]> <b>&amp; \x00\x1b\x0b\ud800\ufffe\uffff\r\n\u202e end"
    jobs = {0: samples.job(0, JobStatus.FAILED, at=0, took=1, reason="error")}
    run = samples.view(samples.report_plan(), samples.run_record(RunStatus.FAILED, 9, ended=1), jobs, {0: hostile}, frozenset())
    root = report(run, {0: hostile})
    text = case(root, "list-files")[1].text
    assert text is not None
    assert text.startswith("]]> <b>&amp; \\x00\\x1b\\x0b\\ud800\\ufffe\\uffff\n\\u202e end")


COUNTS = "tests='1' failures='0' errors='0'"
CASE = "<testcase name='x' classname='c'/>"


def document(suite: str = f"name='a' {COUNTS}", body: str = CASE) -> str:
    return f"<testsuites {COUNTS}><testsuite {suite}>{body}</testsuite></testsuites>"


@pytest.mark.parametrize(
    "wrong",
    [
        "<testsuite name='a' tests='0' failures='0' errors='0'/>",
        f"<testsuites {COUNTS}>{CASE}</testsuites>",
        document(suite="tests='1' failures='0' errors='0'"),
        document(suite="name='a' tests='x' failures='0' errors='0'"),
        document(suite="name='a' tests='2' failures='0' errors='0'"),
        document(suite=f"name='a' {COUNTS} skipped='1'"),
        document(suite=f"name='a' {COUNTS} timestamp='2026-01-31T06:00:00Z'"),
        document(suite=f"name='a' {COUNTS} timestamp='2026-13-31T06:00:00'"),
        document(body="<testcase name='x'/>"),
        document(body="<testcase name='x' classname='c' colour='red'/>"),
        document(body="<testcase name='x' classname='c' time='-1'/>"),
        document(body="<testcase name='x' classname='c' line='0'/>"),
        document(body="<testcase name='x' classname='c'><system-out/><skipped/></testcase>"),
        document(body="<testcase name='x' classname='c'><failure/><error/></testcase>"),
        document(suite="name='a' tests='2' failures='0' errors='0'", body=CASE * 2),
    ],
)
def test_the_schema_finds_faults(wrong: str) -> None:
    assert problems(ET.fromstring(document())) == []
    assert problems(ET.fromstring(wrong))
