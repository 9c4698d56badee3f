"""Words that do not belong in the repository: unfinished work, paths of one machine, hosts of package indexes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tests.repository.makefile import ROOT

# Written so that no pattern matches its own line here.
FORBIDDEN = {
    "unfinished work": r"\b(TO[D]O|FIX[M]E|X[X]X|HA[C]K)\b",
    "a path of one machine": r"(?<![\w./~])/(wor[k]/main|wor[k]/shared|roo[t]/|User[s]/|hom[e]/(?!me/)\w+/|op[t]/(pypi|wheels))",
    "the host of a package index": r"\b(pyp[i]\.org|pythonhoste[d]\.org|test\.pyp[i])",
    "the number of a ticket": r"(?i)\bissu[e] #?\d",
    "notes to a builder": r"(?i)\bthe coordinato[r]\b|/tmp/brie[f]|interfaces\.m[d]",
}
# Ignored files, and git's own. Git is not called, because it refuses a checkout of another user.
UNTRACKED = {"__pycache__", "build", "dist", "out"}


def texts() -> Iterator[tuple[Path, str]]:
    """Yield the text files of the repository."""
    for folder, folders, files in os.walk(ROOT):
        hidden = {name for name in folders if name.startswith(".") and name != ".ci"}
        folders[:] = [name for name in folders if name not in UNTRACKED | hidden and not name.endswith(".egg-info")]
        for name in files:
            path = Path(folder, name)
            try:
                yield path.relative_to(ROOT), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def test_no_forbidden_words() -> None:
    found = [
        f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}: {match[0]!r}"
        for path, text in texts()
        for what, pattern in FORBIDDEN.items()
        for match in re.finditer(pattern, text)
    ]
    assert found == []


def test_the_patterns_match_their_examples() -> None:
    samples = ["x = 1  # TO" + "DO later", "see /wor" + "k/main/x", "https://pyp" + "i.org/simple", "as iss" + "ue 12 says"]
    assert all(any(re.search(pattern, sample) for pattern in FORBIDDEN.values()) for sample in samples)
