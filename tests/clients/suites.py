"""Runs the tests of one package, on RQ or on flowq."""

import os
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.clients.environments import FOLDER, python, source
from tests.clients.packages import Package
from tests.support.server import PrivateServer

_LONGEST = 600  # s for all tests of a package
_SITE = Path(__file__).parent / "site"


def outcomes(package: Package, kind: str, server: PrivateServer) -> dict[str, str]:
    """Return the outcome of each test of a package: "passed", "failed" or "skipped".

    Args:
        package: whose tests.
        kind: "rq" or "flowq": what `import rq` gives them.
        server: where the tests may do as they like.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [str(python(kind)), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "60", f"--junitxml={report}"]
        result = subprocess.run(
            [*command, *_configuration(package), *package.arguments],
            cwd=source(package),
            env=_environment(package, kind, server, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST,
            check=False,
        )
        if not report.exists():
            raise AssertionError(f"the tests of {package.name} could not be run:\n{result.stdout[-3000:]}")
        found: dict[str, str] = {}
        for case in ET.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name')}"
            found[name] = max(found.get(name, ""), _outcome(case), key=["", "skipped", "passed", "failed"].index)
        return found


def without_parameters(name: str) -> str:
    """Return the name of a test without the parameters of a case."""
    return name.partition("[")[0]


def _configuration(package: Package) -> list[str]:
    """Return options that keep pytest from using the configuration of this repository, in which the package is."""
    file = source(package) / "pyproject.toml"
    own = file.exists() and "[tool.pytest" in file.read_text(encoding="utf-8")
    return ["--rootdir", str(source(package)), "-c", str(file) if own else os.devnull]


def _outcome(case: ET.Element) -> str:
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "passed" if case.find("skipped") is None else "skipped"


def _environment(package: Package, kind: str, server: PrivateServer, home: str) -> dict[str, str]:
    programs = FOLDER / "programs"  # some tests start a server of their own by this name
    programs.mkdir(exist_ok=True)
    program = programs / "redis-server"
    program.unlink(missing_ok=True)
    program.symlink_to(server.binary)
    path = [str(_SITE), str((source(package) / package.modules).resolve())]
    settings = {"FLOWQ_COMPAT": "rq", "FLOWQ_REDIS_URL": server.url} if kind == "flowq" else {}
    if kind == "flowq":
        path.append(str(FOLDER / "path"))
    return {
        "CLIENTS_SOCKET": server.socket,
        "HOME": home,
        "LANG": "C.UTF-8",
        "PATH": os.pathsep.join((str(programs), os.environ.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(path),
        **settings,
        **package.variables,
    }
