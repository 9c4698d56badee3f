"""The JUnit format of CI systems: its schema, `junit.xsd`, and checks that a schema cannot express."""

from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import xmlschema


@cache
def schema() -> xmlschema.XMLSchema:
    """Return the schema."""
    return xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))


def problems(root: ET.Element) -> list[str]:
    """Return the problems of a report: violations of the schema, and counts that differ from the cases."""
    found = [f"{error.path}: {error.reason}" for error in schema().iter_errors(root)]
    for suite in root.iter("testsuite"):
        counted = {"tests": len(suite.findall("testcase")), "skipped": len(suite.findall("testcase/skipped"))}
        counted |= {f"{kind}s": len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error")}
        found += [
            f"{name} is {said}, counted {count}"
            for name, count in counted.items()
            if (said := suite.get(name)) is not None and said != str(count)
        ]
    return found
