"""`include` and `exclude`: the examples of GitHub's pages on matrices, cell by cell."""

import json
from typing import Any

import pytest

from flowq.compiler import compile_text

FRUITS = {
    "fruit": ["apple", "pear"],
    "animal": ["cat", "dog"],
    "include": [
        {"color": "green"},
        {"color": "pink", "animal": "cat"},
        {"fruit": "apple", "shape": "circle"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ],
}
EXAMPLES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "a value is added where it overwrites no original one, else a cell is": (
        FRUITS,
        [
            {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
            {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
            {"fruit": "pear", "animal": "cat", "color": "pink"},
            {"fruit": "pear", "animal": "dog", "color": "green"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    ),
    "a configuration is expanded": (
        {
            "os": ["windows-latest", "ubuntu-latest"],
            "node": [14, 16],
            "include": [{"os": "windows-latest", "node": 16, "npm": 6}],
        },
        [
            {"os": "windows-latest", "node": 14},
            {"os": "windows-latest", "node": 16, "npm": 6},
            {"os": "ubuntu-latest", "node": 14},
            {"os": "ubuntu-latest", "node": 16},
        ],
    ),
    "a configuration is added": (
        {
            "os": ["macos-latest", "windows-latest", "ubuntu-latest"],
            "version": [12, 14, 16],
            "include": [{"os": "windows-latest", "version": 17}],
        },
        [
            *(
                {"os": system, "version": version}
                for system in ("macos-latest", "windows-latest", "ubuntu-latest")
                for version in (12, 14, 16)
            ),
            {"os": "windows-latest", "version": 17},
        ],
    ),
    "there is nothing but include": (
        {"include": [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}]},
        [{"site": "production", "datacenter": "site-a"}, {"site": "staging", "datacenter": "site-b"}],
    ),
    "an exclude needs a part of a cell only": (
        {
            "os": ["macos-latest", "windows-latest"],
            "version": [12, 14, 16],
            "environment": ["staging", "production"],
            "exclude": [
                {"os": "macos-latest", "version": 12, "environment": "production"},
                {"os": "windows-latest", "version": 16},
            ],
        },
        [
            {"os": "macos-latest", "version": 12, "environment": "staging"},
            {"os": "macos-latest", "version": 14, "environment": "staging"},
            {"os": "macos-latest", "version": 14, "environment": "production"},
            {"os": "macos-latest", "version": 16, "environment": "staging"},
            {"os": "macos-latest", "version": 16, "environment": "production"},
            {"os": "windows-latest", "version": 12, "environment": "staging"},
            {"os": "windows-latest", "version": 12, "environment": "production"},
            {"os": "windows-latest", "version": 14, "environment": "staging"},
            {"os": "windows-latest", "version": 14, "environment": "production"},
        ],
    ),
    "include comes after exclude and may bring back what is excluded": (
        {"a": [1, 2], "b": [1, 2], "exclude": [{"a": 1}], "include": [{"a": 1, "b": 2}]},
        [{"a": 2, "b": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2}],
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name: str) -> None:
    matrix, cells = EXAMPLES[name]
    compilation = compile_text(json.dumps({"jobs": {"a": {"matrix": matrix, "run": "true"}}}))
    assert compilation.plan is not None, compilation.diagnostics
    assert [cell.matrix for cell in compilation.plan.jobs()] == cells
