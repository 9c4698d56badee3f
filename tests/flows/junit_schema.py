"""The JUnit form as CI systems read it, as a table: elements, their attributes, and the order of what stands in them."""

import re
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

INTEGER, DECIMAL, TEXT, TIME = r"\d+", r"\d+(\.\d+)?", r"(?s).*", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


@dataclass(frozen=True)
class Shape:
    """Attributes with their pattern (required ones end in `!`), and children in their order."""

    attributes: dict[str, str]
    children: tuple[str, ...] = ()
    text: bool = False


COUNTS: Final = {
    "name!": TEXT,
    "tests!": INTEGER,
    "failures!": INTEGER,
    "errors!": INTEGER,
    "skipped": INTEGER,
    "time": DECIMAL,
}
SHAPES: Final = {
    "testsuites": Shape({name.rstrip("!"): pattern for name, pattern in COUNTS.items()}, ("testsuite",)),
    "testsuite": Shape(
        COUNTS | {"timestamp": TIME, "hostname": TEXT, "id": INTEGER, "package": TEXT},
        ("properties", "testcase", "system-out", "system-err"),
    ),
    "properties": Shape({}, ("property",)),
    "property": Shape({"name!": TEXT, "value!": TEXT}),
    "testcase": Shape(
        {"name!": TEXT, "classname!": TEXT, "time": DECIMAL, "file": TEXT, "line": INTEGER},
        ("skipped", "error", "failure", "system-out", "system-err"),
    ),
    "skipped": Shape({"message": TEXT}, text=True),
    "error": Shape({"message": TEXT, "type": TEXT}, text=True),
    "failure": Shape({"message": TEXT, "type": TEXT}, text=True),
    "system-out": Shape({}, text=True),
    "system-err": Shape({}, text=True),
}


def problems(root: ET.Element) -> list[str]:
    """Return what is wrong with a report."""
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    for element in root.iter():
        found += _element(element)
    for suite in root.iter("testsuite"):
        counted = {"tests": len(suite.findall("testcase"))}
        counted |= {f"{kind}s": len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error")}
        found += [
            f"{name} is {suite.get(name)}, counted {count}" for name, count in counted.items() if suite.get(name) != str(count)
        ]
    return found


def _element(element: ET.Element) -> list[str]:
    shape = SHAPES.get(element.tag)
    if shape is None:
        return [f"unknown element {element.tag}"]
    patterns = {name.rstrip("!"): pattern for name, pattern in shape.attributes.items()}
    found = [
        f"{element.tag} lacks {name[:-1]}" for name in shape.attributes if name.endswith("!") and element.get(name[:-1]) is None
    ]
    found += [
        f"{element.tag}.{name} is {value!r}"
        for name, value in element.attrib.items()
        if not re.fullmatch(patterns.get(name, "(?!)"), value)
    ]
    places = [shape.children.index(child.tag) if child.tag in shape.children else -1 for child in element]
    if -1 in places or places != sorted(places):
        found.append(f"{element.tag} holds {[child.tag for child in element]}")
    if not shape.text and (element.text or "").strip():
        found.append(f"{element.tag} holds text")
    return found
