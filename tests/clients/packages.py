"""The packages that are tried: versions, where their tests are, and which of these tests differ on flowq."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.clients.differing import DIFFERING

RQ: Final = "3.0.0"


@dataclass(frozen=True, slots=True)
class Package:
    """One package.

    Attributes:
        name: its name on the package index.
        version: the version that is tried.
        repository: where its tests are, if the archive on the index has none: the address of a git repository.
        revision: the commit there.
        arguments: arguments of pytest, in the package's folder.
        modules: the folder of its modules, in that folder.
        variables: the environment of its tests.
        passing: how many of its tests pass on RQ.
        on_flowq: how many of those pass on flowq.
    """

    name: str
    version: str
    passing: int
    on_flowq: int
    repository: str = ""
    revision: str = ""
    arguments: tuple[str, ...] = ()
    modules: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def differing(self) -> Mapping[str, str]:
        """Tests that pass on RQ and not on flowq, without their parameters, and why."""
        return DIFFERING.get(self.name, {})

    @property
    def overlay(self) -> str:
        """The name of its folder in `overlays`, if it has one."""
        return self.name.replace("-", "_")


QUICK: Final = (
    Package("rq-dashboard", "0.9.0", passing=18, on_flowq=18),
    Package("rq-exporter", "3.1.0", passing=28, on_flowq=28),
    Package(
        "django-tasks-rq",
        "0.12.0",
        passing=29,
        on_flowq=28,
        arguments=("tests/tests.py",),
        variables={"DJANGO_SETTINGS_MODULE": "tests.settings"},
    ),
)
"""Those that `make test` tries too."""

ALL: Final = (
    *QUICK,
    Package("sentry-sdk", "2.75.0", passing=71, on_flowq=71, arguments=("tests/integrations/rq", "-o", "addopts=")),
    Package(
        "django-rq",
        "4.1.0",
        passing=118,
        on_flowq=105,
        repository="https://github.com/rq/django-rq",
        revision="v4.1",
    ),
    Package(
        "rq-scheduler",
        "0.14.0",
        passing=71,
        on_flowq=69,
        repository="https://github.com/rq/rq-scheduler",
        revision="134c2eb",
    ),
    Package(
        "flask-rq",
        "1.0.0.dev",
        passing=40,
        on_flowq=40,
        repository="https://github.com/pallets-eco/flask-rq",
        revision="d7e7cf9",
        modules="src",
    ),
)
