"""Reports of a run for CI systems: a JUnit file, and annotations in the log."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowq.exceptions import UsageError

if TYPE_CHECKING:
    from flowq.flows.views.run_view import RunView
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class Reporting:
    """The requested reports: the path of a JUnit file, and the CI system for annotations."""

    junit: str | None = None
    annotations: str | None = None

    def check(self, *, detach: bool, as_json: bool) -> None:
        """Check before the run that the reports can be written: an hour later is too late to find a folder read-only.

        Raises:
            UsageError: an impossible combination, or the file cannot be written.
        """
        if detach and (self.junit or self.annotations):
            raise UsageError("--detach does not wait for the end: write the report later, with `flowq status RUN --junit FILE`")
        if as_json and self.annotations:
            raise UsageError("--json and --annotations both want standard output: choose one")
        if self.junit is not None:
            from pathlib import Path

            path = Path(self.junit)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                new = not path.exists()
                with path.open("ab"):
                    pass
                if new:
                    path.unlink()  # no empty report if the run never starts
            except OSError as error:
                raise UsageError(f"--junit: cannot write {self.junit!r}: {error.strerror or error}") from error

    def write(self, store: "Store", run: "RunView") -> None:
        """Write the JUnit file.

        Raises:
            UsageError: it cannot be written.
        """
        if self.junit is None:
            return
        from pathlib import Path

        from flowq.flows.render.junit import junit_xml
        from flowq.flows.views.snapshot import read_output

        text = junit_xml(run, read_output(store, run.id, [job.ordinal for job in run.jobs if job.bad]))
        try:
            Path(self.junit).write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--junit: cannot write {self.junit!r}: {error.strerror or error}") from error
