"""The log of a catalog: which flows become valid, and which do not."""

from flowq.flows.views.text import plural
from flowq.schedules.entries import FlowOfCatalog, FlowsOfDirectory
from flowq.schedules.slot_runs import first_problem, log


class Validity:
    """Logs each change once, when a look at the directory shows it, not when something is due that cannot run."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    def compare(self, catalog: FlowsOfDirectory) -> None:
        """Log what has changed since the last call."""
        problems = {flow.path: problem_of(flow) for flow in catalog.flows.values() if not flow.valid}
        for path, problem in problems.items():
            if self._problems.get(path) != problem:
                log.error("%s is not valid, and starts nothing until it is: %s", path, problem)
        for flow in catalog.flows.values():
            if flow.path in self._problems and flow.valid:
                log.info("%s is valid again", flow.path)
        self._problems = problems


def problem_of(flow: FlowOfCatalog) -> str:
    """Return why a flow is not valid: its name is refused, or its errors, the first one in full."""
    if flow.problem:
        return flow.problem
    errors = [item for item in flow.compilation.diagnostics if item.severity == "error"]
    more = f", and {plural(len(errors) - 1, 'more error')}; `flowq validate` shows all" if len(errors) > 1 else ""
    line = f"line {errors[0].line}: " if errors and errors[0].line else ""
    return f"{line}{first_problem(flow.compilation)}{more}"
