"""The files a flow names: where they are, and the reports about them.

A path in a flow file is relative to that file. In diagnostics it is shown as the user would write it from where the compiler was started:
`sub/backfill.yaml` for `backfill.yaml` in `sub/flow.yaml`.
"""

import os
from dataclasses import dataclass, field
from typing import Final

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.diagnostic import MAX_DIAGNOSTICS, Diagnostic, Span
from flowq.compiler.syntax.nodes import YamlNode
from flowq.compiler.syntax.source import Report, Source, load_source

MAX_FILES: Final = 1_000  # read for one flow


@dataclass(slots=True)
class Files:
    """The files of one compilation. `reports` are those of all of them but the first."""

    reports: list[Report] = field(default_factory=list)
    _seen: dict[str, tuple[Source, Report]] = field(default_factory=dict)

    def read(self, place: "Beside", path: str, span: Span, report: Report, *, code: Code) -> tuple[Source, Report] | None:
        """Read a file that a flow names; what keeps it from being read is told where it is named.

        Returns:
            The text and the report that problems in it go to, or None after a problem.
        """
        name, file = place.shown(path), place.absolute(path)
        if file not in self._seen:
            if len(self._seen) >= MAX_FILES:
                report.add(code, span, f"a flow may use {MAX_FILES:,} files", "use fewer")
                return None
            self._seen[file] = load_source(file, name)
            if not self._seen[file][1].failed or self._seen[file][0].text:
                self.reports.append(self._seen[file][1])
        source, own = self._seen[file]
        if own.failed and not source.text:  # it could not be read at all: that is a problem of the line that names it
            found = own.sorted()[0]
            report.add(code, span, f"cannot use {name[:200]}: {found.message}", found.help)
            return None
        return source, own

    def fresh(self, source: Source, tree: YamlNode) -> Report:
        """Return another report about a text that is read already, for what depends on where it is used."""
        report = Report(source, tree)
        self.reports.append(report)
        return report

    @property
    def failed(self) -> bool:
        """Whether an error was found in one of them."""
        return any(report.failed for report in self.reports)

    def diagnostics(self, first: Report) -> tuple[Diagnostic, ...]:
        """Return what was found, file by file, each problem once."""
        found = [item for report in (first, *self.reports) for item in report.sorted()]
        return tuple(dict.fromkeys(found))[: 2 * MAX_DIAGNOSTICS]


@dataclass(frozen=True, slots=True)
class Beside:
    """Resolves paths beside a flow file. `name` is how that file is shown, `file` its absolute path, "" where it has none."""

    name: str
    file: str

    def absolute(self, path: str) -> str:
        """Return a path as the system takes it."""
        return os.path.abspath(os.path.join(os.path.dirname(self.file or self.name), path))  # noqa: PTH100, PTH118, PTH120

    def shown(self, path: str) -> str:
        """Return a path as people see it."""
        return os.path.normpath(os.path.join(os.path.dirname(self.name), path))  # noqa: PTH118, PTH120

    def exists(self, path: str) -> bool:
        """Tell whether there is something under a path."""
        return os.path.lexists(self.absolute(path))
