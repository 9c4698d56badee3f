"""A file with values for parameters: a YAML or JSON map from name to value."""

from collections.abc import Mapping

from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.withheld import Shown
from flowq.compiler.params.params import Given
from flowq.compiler.syntax.files import Files
from flowq.compiler.syntax.nodes import Json, MapNode, plain, type_name
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.source import load_source


def given_params(values: Mapping[str, Json], path: str | None, files: Files) -> Given:
    """Return the given values, merged over those of a file, if there is one.

    Problems of the file or of its values are reported at the file's lines, which are not shown: they may be secret.
    """
    if path is None:
        return Given(values)
    source, report = load_source(path, shown=Shown.NOTHING if files.shown(path) is Shown.NOTHING else Shown.WORDS)
    files.reports.append(report)
    if report.failed:
        return Given(values, unread=True)
    if not source.text.strip():
        return Given(values)
    tree = read(source, report)
    if tree is None:
        return Given(values, unread=True)
    if not isinstance(tree, MapNode):
        message = f"expected a map from param to value, found {type_name(tree)}"
        report.add(Code.PARAMS_FILE, tree.span, message, "write name: value")
        return Given(values, unread=True)
    listed = {name: plain(value) for name, (_, value) in tree.entries.items()}
    places = {name: spelling.span for name, (spelling, _) in tree.entries.items() if name not in values}
    return Given({**listed, **values}, places, report)
