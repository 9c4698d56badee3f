"""The packages that are tried: versions, where their tests are, and which of these tests differ on flowq."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

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
        differing: tests that pass on RQ and not on flowq, and why.
    """

    name: str
    version: str
    passing: int
    repository: str = ""
    revision: str = ""
    arguments: tuple[str, ...] = ()
    modules: str = "."
    variables: Mapping[str, str] = field(default_factory=dict)
    differing: Mapping[str, str] = field(default_factory=dict)

    @property
    def overlay(self) -> str:
        """The name of its folder in `overlays`, if it has one."""
        return self.name.replace("-", "_")


QUICK: Final = (
    Package("rq-dashboard", "0.9.0", passing=18),
    Package("rq-exporter", "3.1.0", passing=28),
    Package(
        "django-tasks-rq",
        "0.12.0",
        passing=29,
        arguments=("tests/tests.py",),
        variables={"DJANGO_SETTINGS_MODULE": "tests.settings"},
    ),
)
"""Those that `make test` tries too."""

ALL: Final = (
    *QUICK,
    Package("sentry-sdk", "2.75.0", passing=71, arguments=("tests/integrations/rq", "-o", "addopts=")),
    Package(
        "django-rq",
        "4.1.0",
        passing=119,
        repository="https://github.com/rq/django-rq",
        revision="v4.1",
    ),
    Package(
        "rq-scheduler",
        "0.14.0",
        passing=71,
        repository="https://github.com/rq/rq-scheduler",
        revision="134c2eb",
    ),
    Package(
        "flask-rq",
        "1.0.0.dev",
        passing=40,
        repository="https://github.com/pallets-eco/flask-rq",
        revision="d7e7cf9",
        modules="src",
    ),
)
