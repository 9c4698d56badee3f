"""The files that jobs of a run have left: lists of them, and each as a download."""

import re
from collections.abc import AsyncIterator
from itertools import groupby

from starlette.concurrency import iterate_in_threadpool

from flowq.artifacts.manifest import ArtifactFile
from flowq.flows.views.artifacts import JobArtifact, artifact_json, artifacts_of, every_artifact, open_file, with_artifacts
from flowq.flows.views.run_view import run_view
from flowq.flows.views.snapshot import read_snapshot
from flowq.plan import Json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import in_parts, part
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import Reply
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import COUNT, MAP, TEXT, TIME, array, document, integer, page
from flowq.serve.http.targets import find_job

_RUN = f"{API}/runs/{{run}}"
_BYTES = "application/octet-stream"


def _artifacts(call: ApiCall) -> Json:
    view = with_artifacts(call.store, run_view(*read_snapshot(call.store, call.run.id)))
    job = call.query.get("job")
    found = every_artifact(view, None if job is None else [job])
    rows = [(item, file) for item in found for file in item.manifest.files or (None,)]  # an artifact may have none
    places, after = part(call.query, range(len(rows)), lambda place: (place,))
    chosen = groupby((rows[place] for place in places), key=lambda row: (row[0].job.ordinal, row[0].name))
    items = [_document([*group]) for _, group in chosen]
    return {"items": items, "next": after}


def _document(rows: list[tuple[JobArtifact, ArtifactFile | None]]) -> Json:
    return artifact_json(rows[0][0], [file for _, file in rows if file is not None])


def _artifact(call: ApiCall) -> Reply:
    plan, snapshot = read_snapshot(call.store, call.run.id)
    cell = find_job(call, plan)
    (item,) = artifacts_of(with_artifacts(call.store, run_view(plan, snapshot)), [cell.ordinal], call.path["artifact"])
    content = open_file(call.store, item, call.path["sha256"])

    def stream() -> AsyncIterator[bytes]:
        return iterate_in_threadpool(content)

    name = re.sub(
        r"[^A-Za-z0-9._-]", "_", next(file.path for file in item.manifest.files if file.sha256 == call.path["sha256"])
    )
    headers = {"Content-Disposition": f'attachment; filename="{name[-100:]}"', "Content-Security-Policy": "sandbox"}
    return Reply(200, None, _BYTES, headers, stream=stream)


ROUTES = (
    Route(
        method="GET",
        path=f"{_RUN}/artifacts",
        role=Role.VIEWER,
        summary=(
            "The files that jobs of a run have left, as `flowq artifacts list --json` prints them; `limit` counts files, and an"
            " artifact at the end of a part goes on in the next one"
        ),
        query={"job": integer(0, 10**9), **in_parts()},
        answer=page(document({"job": TEXT, "ordinal": COUNT, "name": TEXT, "kept_until": TIME, "files": array(MAP)})),
        handler=_artifacts,
    ),
    Route(
        method="GET",
        path=f"{_RUN}/jobs/{{job}}/artifacts/{{artifact}}/{{sha256}}",
        role=Role.VIEWER,
        summary="A file of an artifact by its SHA-256; always as a download",
        answer={},
        media_types=(_BYTES,),
        errors=(409,),
        handler=_artifact,
    ),
)
