"""Packages that are built on RQ pass their own tests on flowq, in an environment without rq."""

import pytest

from tests.clients import environments
from tests.clients.packages import ALL, QUICK, Package
from tests.clients.suites import outcomes, without_parameters
from tests.repository.makefile import ROOT
from tests.support.server import PrivateServer


@pytest.mark.slow
@pytest.mark.parametrize("package", QUICK, ids=lambda package: package.name)
def test_a_package_passes_its_own_tests(package: Package, server: PrivateServer) -> None:
    if reason := environments.missing():
        pytest.skip(f"there is no environment for packages built on RQ: {reason}")
    with server.client() as client:
        client.flushall()
    found = outcomes(package, "flowq", server)
    assert {without_parameters(name) for name, outcome in found.items() if outcome == "failed"} == set(package.differing)
    assert sum(outcome == "passed" for outcome in found.values()) == package.on_flowq


def test_the_environment_has_no_rq() -> None:
    if reason := environments.missing():
        pytest.skip(f"there is no environment for packages built on RQ: {reason}")
    folder = environments.python("flowq").parents[1]
    assert not list(folder.glob("lib/python*/site-packages/rq"))


def test_the_docs_name_every_package_that_was_tried() -> None:
    page = (ROOT / "docs" / "third-party.md").read_text(encoding="utf-8")
    for package in ALL:
        assert f"| {package.name} {package.version} | {package.passing} | {package.on_flowq} |" in page
        for reason in set(package.differing.values()):
            assert reason in page
