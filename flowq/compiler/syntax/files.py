"""The files that a flow names: their paths, and the reports about them.

A path in a flow file is relative to that file. Diagnostics show it relative to the compiler's working directory: `sub/backfill.yaml` for
`backfill.yaml` in `sub/flow.yaml`.
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
    """The files of one compilation. `reports` are those of all files but the first."""

    reports: list[Report] = field(default_factory=list)
    _seen: dict[str, tuple[Source, Report]] = field(default_factory=dict)

    def read(self, place: "Beside", path: str, span: Span, report: Report, *, code: Code) -> tuple[Source, Report] | None:
        """Read a file that a flow names; report an unreadable file where it is named.

        Returns:
            The text and the report for its problems, or None after a problem.
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
        if own.failed and not source.text:  # unreadable: a problem of the line that names it
            found = own.sorted()[0]
            report.add(code, span, f"cannot use {name[:200]}: {found.message}", found.help)
            return None
        return source, own

    def fresh(self, source: Source, tree: YamlNode) -> Report:
        """Return another report for a file that was read already, for problems that depend on where it is used."""
        report = Report(source, tree)
        self.reports.append(report)
        return report

    @property
    def failed(self) -> bool:
        """Whether one of the files has an error."""
        return any(report.failed for report in self.reports)

    def diagnostics(self, first: Report) -> tuple[Diagnostic, ...]:
        """Return the diagnostics file by file, each once."""
        found = [item for report in (first, *self.reports) for item in report.sorted()]
        return tuple(dict.fromkeys(found))[: 2 * MAX_DIAGNOSTICS]


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

    def exists(self, path: str) -> bool:
        """Return whether the path exists."""
        return os.path.lexists(self.absolute(path))
