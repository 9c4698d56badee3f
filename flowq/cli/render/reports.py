"""What a CI system is given of a run besides the exit code: a JUnit file, and annotations in the log."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowq.exceptions import UsageError

if TYPE_CHECKING:
    from flowq.flows.views.run_view import RunView
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class Reporting:
    """What is asked for: the path of a JUnit file, and the CI system whose annotations are wanted."""

    junit: str | None = None
    annotations: str | None = None

    def check(self, *, detach: bool, as_json: bool) -> None:
        """See beforehand that nothing stands in the way: an hour later is too late to learn that a folder is read-only.

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
                    path.unlink()  # a run that never starts leaves no empty report
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
