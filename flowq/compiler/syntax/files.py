"""The files that a flow names: their paths, and the reports about them.

A path in a flow file is relative to that file, and stays, links resolved, below the root of the project: a flow of others must not make the
compiler open files of its user. In diagnostics it is shown as the user would write it from where the compiler was started:
`sub/backfill.yaml` for `backfill.yaml` in `sub/flow.yaml`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import MAX_DIAGNOSTICS, Diagnostic, Span
from flowq.compiler.diagnostics.withheld import Shown
from flowq.compiler.syntax.nodes import YamlNode
from flowq.compiler.syntax.source import Report, Source, load_source

MAX_FILES: Final = 1_000  # read for one flow

_MARKS: Final = ("flowq.toml", ".git")  # what stands in the root of a project
_MOST: Final = 2 * MAX_DIAGNOSTICS  # of all files
_FLOWS: Final = (".yaml", ".yml", ".json")  # the names of flow files end so


@dataclass(slots=True)
class Files:
    """The files of one compilation. `root`: the directory that they lie in; `reports` are those of all of them but the first."""

    root: str
    reports: list[Report] = field(default_factory=list)
    _seen: dict[tuple[str, Shown], tuple[Source, Report]] = field(default_factory=dict)  # by path, and what is shown of it
    _named: list[str] = field(default_factory=list)

    def read(
        self, place: "Beside", path: str, span: Span, report: Report, *, code: Code, optional: bool = False
    ) -> tuple[Source, Report] | None:
        """Read a file that a flow names; what keeps it from being read is told where it is named.

        Args:
            place: where the path is looked for.
            path: as the flow has it.
            span: of the path.
            report: of the flow.
            code: of what is told.
            optional: nothing is told of a file that is not there.

        Returns:
            The text and the report for its problems, or None after a problem.
        """
        name, file = place.shown(path), place.absolute(path)
        real = _resolved(file)
        if not is_below(real, self.root):
            message = f"cannot use {name[:200]}: it lies outside the root of the project, {self.root}"
            hint = "the root is the nearest directory with flowq.toml or .git, else that of the flow; --root names another. Links are resolved"
            report.add(code, span, message, hint)
            return None
        self._named.append(file)
        if optional and not os.path.lexists(file):
            return None
        shown = Shown.WORDS if code is Code.DOTENV else self.shown(file)
        if (file, shown) not in self._seen:
            if len(self._seen) >= MAX_FILES:
                report.add(code, span, f"a flow may use {MAX_FILES:,} files", "use fewer")
                return None
            loaded = self._seen[file, shown] = load_source(real, name, shown)
            if not loaded[1].failed or loaded[0].text:
                self.reports.append(loaded[1])
        source, own = self._seen[file, shown]
        if own.failed and not source.text:  # it could not be read at all: that is a problem of the line that names it
            found = own.sorted()[0]
            report.add(code, span, f"cannot use {name[:200]}: {found.message}", found.help)
            return None
        return source, own

    def shown(self, path: str) -> Shown:
        """Return what diagnostics show of a flow's own file: its lines where it is named as one and lies, links resolved, below the root."""
        real = _resolved(path)
        return Shown.LINES if real.endswith(_FLOWS) and is_below(real, self.root) else Shown.NOTHING

    def fresh(self, source: Source, tree: YamlNode) -> Report:
        """Return another report for a file that was read already, for problems that depend on where it is used."""
        report = Report(source, tree)
        self.reports.append(report)
        return report

    def note(self, paths: Iterable[str]) -> None:
        """Note files that were looked for: when one of them changes, so may what is compiled."""
        self._named += paths

    @property
    def failed(self) -> bool:
        """Whether one of the files has an error."""
        return any(report.failed for report in self.reports)

    def flows(self) -> dict[str, Source]:
        """Return the flow files that were read besides the first, by their absolute paths."""
        return {file: source for (file, shown), (source, _report) in self._seen.items() if shown is not Shown.WORDS}

    def paths(self) -> tuple[str, ...]:
        """Return the absolute paths of the files that were named or looked for, also of those that could not be read."""
        return tuple(dict.fromkeys(self._named))

    def diagnostics(self, first: Report) -> tuple[Diagnostic, ...]:
        """Return the diagnostics file by file, each once; of too many the errors, if there are any."""
        found = tuple(dict.fromkeys(item for report in (first, *self.reports) for item in report.sorted()))
        errors = tuple(item for item in found if item.severity == "error")
        return (found if len(found) <= _MOST else errors or found)[:_MOST]


@dataclass(frozen=True, slots=True)
class Beside:
    """A resolver of paths relative to a flow file. `name` is that file as shown, `file` its absolute path or ""."""

    name: str
    file: str

    def absolute(self, path: str) -> str:
        """Return the absolute path."""
        return os.path.abspath(os.path.join(os.path.dirname(self.file or self.name), path))  # noqa: PTH100, PTH118, PTH120

    def shown(self, path: str) -> str:
        """Return the path as shown in diagnostics."""
        return os.path.normpath(os.path.join(os.path.dirname(self.name), path))  # noqa: PTH118, PTH120


def flow_name(path: str) -> str:
    """Return the name of a flow that has none of its own: that of its file, without the extension; `stdin` for standard input."""
    return PurePath(path).stem.strip("<>") or "flow"


def project_root(directory: str) -> str:
    """Return the directory below which the flows of a directory find their files: the nearest with `flowq.toml` or `.git`, else itself."""
    start = here = _resolved(directory)
    while not any(os.path.lexists(os.path.join(here, mark)) for mark in _MARKS):  # noqa: PTH118
        here, below = os.path.dirname(here), here  # noqa: PTH120
        if here == below:
            return start
    return here


def _resolved(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # no path at all: it has a NUL byte, which is told when it is opened
        return path


def is_below(path: str, root: str) -> bool:
    """Return whether a path is that of a directory, or below it; both absolute and without links."""
    return os.path.commonpath((path, root)) == root
