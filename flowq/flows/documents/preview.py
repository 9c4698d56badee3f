"""The preview of a run that is not submitted, for programs."""

from flowq.plan import Json, Plan


def preview_json(plan: Plan) -> dict[str, Json]:
    """Return the preview as a JSON document: what `flowq run --dry-run --json` prints. Keys are only ever added."""
    return {
        "flow": plan.name,
        "file": plan.file,
        "params": dict(plan.params),
        "jobs": [
            {
                "name": cell.name,
                "job": plan.node_of(cell).name,
                "queue": plan.queue_of(cell),
                "depends_on": [name for name, _condition in plan.shown_parents(cell)],
                "foreach": plan.node_of(cell).foreach,
                "file": plan.file_of(plan.node_of(cell)),
                "line": plan.node_of(cell).line,
            }
            for cell in plan.selected_jobs()
        ],
    }
