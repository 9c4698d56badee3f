"""The stream of changes."""

from collections.abc import AsyncIterator

from flowq.serve.http.calls import ApiCall
from flowq.serve.http.live.topics import read_topics
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import Reply, no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import text
from flowq.serve.http.targets import find_run

_STREAM = "text/event-stream"


def _events(call: ApiCall) -> Reply:
    topics = read_topics(call.query["topics"])
    for run_id in {topic.run for topic in topics if topic.run}:
        if not call.principal.covers(call.site.flow_of(find_run(call.site, run_id))):
            raise no_such("run", run_id)
    after = call.headers.get("last-event-id", "")
    subscriber = call.hub.subscriber(call.principal, call.address, topics, after)

    def stream() -> AsyncIterator[bytes]:
        return subscriber.stream(lambda: call.hub.join(subscriber))

    return Reply(200, None, _STREAM, {"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"}, stream=stream)


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/events",
        role=Role.VIEWER,
        summary=(
            "Changes as they happen (server-sent events). Topics: runs, schedules, run:ID, log:ID, log:ID/ORDINAL. The event `reset` means:"
            " read the documents again; `bye`: the server stops"
        ),
        query={"topics": {**text(4000), "default": "runs"}},
        answer={"type": "string"},
        media_types=(_STREAM,),
        errors=(429,),
        handler=_events,
    ),
)
