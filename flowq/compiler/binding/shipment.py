"""`code` and `bundle` of a flow: which files travel with its runs.

The files of a bundle are read when a run is submitted, as the user who submits it. So their root stays, links resolved, below the root of the
project: a flow of others must not send its user's files to the server.
"""

import os

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.syntax.files import Beside, is_below
from flowq.compiler.syntax.nodes import ListNode, MapNode, ScalarNode, YamlNode, text_of
from flowq.compiler.syntax.source import Report
from flowq.globs import GlobError, exclusion
from flowq.plan.shipment import Shipment


def read_shipment(root: MapNode, place: Beside, project: str, report: Report) -> Shipment | None:
    """Return what travels with a run of the flow; None if nothing does.

    Args:
        root: the flow.
        place: of its file.
        project: the root of the project, absolute and without links.
        report: gets the problems.
    """
    code = root.get("code")
    ships = isinstance(code, ScalarNode) and code.value == "ship"
    node = root.get("bundle")
    if isinstance(node, MapNode) and isinstance(code, ScalarNode) and code.value == "local":
        report.add(
            Code.MISPLACED_KEY, root.key_span("bundle"), "`bundle` has no effect with `code: local`", "write `code: ship`"
        )
    bundle = _bundle(node if isinstance(node, MapNode) else MapNode(root.start), place, project, report)
    return bundle if ships or (code is None and isinstance(node, MapNode)) else None


def _bundle(node: MapNode, place: Beside, project: str, report: Report) -> Shipment:
    named = node.get("root")
    directory = place.absolute(text_of(named) or ".")
    if named is not None:
        _check_root(directory, place.shown(text_of(named)), named, project, report)
    requires = node.get("requires")
    path = os.path.normpath(text_of(requires)) if text_of(requires) else ""
    if requires is not None and (path.startswith(("/", "..")) or "\0" in path):
        message = "requires: expected a file below the root of the bundle"
        report.add(Code.WRONG_VALUE, requires.span, message, "write its path relative to that root: requires: requirements.txt")
    return Shipment(directory, _patterns(node.get("include"), report), _patterns(node.get("exclude"), report), path)


def _check_root(directory: str, shown: str, node: YamlNode, project: str, report: Report) -> None:
    if "\0" in directory or not os.path.isdir(directory):  # noqa: PTH112 - as in `Beside`
        report.add(
            Code.WRONG_VALUE, node.span, f"root: there is no directory {shown[:200]!r}", "it is relative to the flow file"
        )
    elif not is_below(os.path.realpath(directory), project):
        message = f"root: {shown[:200]} lies outside the root of the project, {project}"
        hint = "the root is the nearest directory with flowq.toml or .git, else that of the flow; --root names another. Links are resolved"
        report.add(Code.WRONG_VALUE, node.span, message, hint)


def _patterns(node: YamlNode | None, report: Report) -> tuple[str, ...]:
    items = node.items if isinstance(node, ListNode) else [] if node is None else [node]
    for item in items:
        try:
            exclusion([text_of(item)])
        except GlobError as error:
            report.add(Code.WRONG_VALUE, item.span, f"{text_of(item)[:60]!r}: {error}", "write a pattern such as data/**/*.csv")
            return ()
    return tuple(text_of(item) for item in items if text_of(item))
