"""`notify`: messages about runs. An address is a reference, as of a secret: the address itself is stored nowhere."""

from typing import Final

from flowq.compiler.binding import fields
from flowq.compiler.binding.secrets import reference
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.checks import check_site
from flowq.compiler.expressions.names import Known
from flowq.compiler.expressions.sites import Context, SiteReader
from flowq.compiler.params.params import Bound
from flowq.compiler.syntax.files import Beside
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, YamlNode, texts_of
from flowq.compiler.syntax.source import Report
from flowq.expr.types import ANY, NUMBER, STRING, Type
from flowq.plan.notice import KINDS, Notice

_SLOW: Final = "slow"
_RUN: Final = Type("map", keys={"id": STRING, "name": STRING, "attempt": NUMBER, "status": STRING})
_EVENT: Final = Type("map", keys={"kind": Type("string", values=KINDS), "count": NUMBER, "job": ANY}, part="part of the event")


def read_notices(node: YamlNode | None, place: Beside, bound: Bound, report: Report) -> tuple[Notice, ...]:
    """Return the messages of a flow; one with a problem is left out.

    Args:
        node: the value of `notify`: an entry, or a list of entries.
        place: the file of the flow, to which paths are relative.
        bound: the params.
        report: gets the problems.
    """
    items = node.items if isinstance(node, ListNode) else [node]
    found = []
    for item in items:
        if isinstance(item, MapNode):
            before = report.errors
            notice = _notice(item, place, bound, report)
            if report.errors == before and notice.on and notice.to:
                found.append(notice)
    return tuple(found)


def _notice(node: MapNode, place: Beside, bound: Bound, report: Report) -> Notice:
    slow = fields.duration(node.get("slow"), bound.scope, report, never=False, positive=True)
    secret = node.get("secret")
    to = node.get("to")
    notice = Notice(
        on=_events(node),
        to=reference("to", to, place, bound.scope, report) if isinstance(to, MapNode) else {},
        secret=reference("secret", secret, place, bound.scope, report) if isinstance(secret, MapNode) else None,
        message=_message(node.get("message"), bound, report),
        slow=slow,
    )
    if "slow" in node.entries and _SLOW not in notice.on:
        hint = "add slow to the list, or remove this key"
        report.add(Code.NOTICE, node.key_span("slow"), "`slow` has no effect: it is not in the list of `on`", hint)
    return notice


def _events(node: MapNode) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts_of(node.get("on"))))


def _message(node: YamlNode | None, bound: Bound, report: Report) -> Json:
    if node is None:
        return None
    reader = SiteReader(report, Context.NOTICE)
    message = reader.value(node)
    known = Known(tuple(spec.name for spec in bound.specs))
    scope = {"params": bound.types(), "run": _RUN, "event": _EVENT}
    for site in reader.sites:
        check_site(site, known, scope, report)
    return message
