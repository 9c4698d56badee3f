"""`secrets`: references to a flow's passwords and keys, and the jobs that get them. The compiler never reads the values.

A reference is `{env: NAME}`, `{file: path}` or `{command: [program, argument]}`. The worker resolves it for each attempt and sets the variable
in the environment of the jobs that list the secret; the plan contains only references.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final, TypeAlias

from flowq.compiler.binding.fields import static_text
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.diagnostics.suggestions import did_you_mean
from flowq.compiler.expressions.constants import StaticScope, has_holes
from flowq.compiler.shell.variables import protected
from flowq.compiler.syntax.files import Beside
from flowq.compiler.syntax.nodes import Json, ListNode, MapNode, ScalarNode, YamlNode, written
from flowq.compiler.syntax.redaction import VARIABLE
from flowq.compiler.syntax.source import Report

References: TypeAlias = Mapping[str, Mapping[str, Json]]
"""References by the name of the secret: `{"env": variable}`, `{"file": absolute path, or one that begins with ~/}` or `{"command": words}`."""

_HARMLESS: Final = re.compile(
    r"(?:GIT|NODE)_\w*(?:TOKEN|PASSWORD|SECRET|KEY)"
)  # NODE_AUTH_TOKEN: programs expect a secret in it


def declare_secrets(root: MapNode, place: Beside, env: Collection[str], scope: StaticScope, report: Report) -> References:
    """Return the references that a flow declares; a secret with a problem has an empty one.

    Args:
        root: the tree of the flow.
        place: the file of the flow, to which paths are relative.
        env: the names of the flow's own variables.
        scope: the values known before the run.
        report: gets the problems.
    """
    section = root.get("secrets")
    if not isinstance(section, MapNode):
        return {}
    found: dict[str, Mapping[str, Json]] = {}
    for name, (spelling, node) in section.entries.items():
        _check_name(name, spelling, report)
        found[name] = _secret(name, node, place, scope, report) if isinstance(node, MapNode) else {}
        for double in sorted({name, found[name].get("env", name)} & {*env}):
            message = f"{double[:60]} is in the flow's `env` or `dotenv` too, and their values are stored with the run"
            hint = "remove it there: the worker looks up the value of a secret"
            report.add(Code.SECRET, spelling.span, message, hint)
    return found


def job_secrets(node: YamlNode | None, env: YamlNode | None, declared: References, report: Report) -> References:
    """Return the references of the secrets that a job lists. `env`: the job's own variables, whose names must differ."""
    if not isinstance(node, ListNode):
        return {}
    found: dict[str, Mapping[str, Json]] = {}
    for item in node.items:
        if not isinstance(item, ScalarNode) or not isinstance(item.value, str):
            continue
        name = item.value
        if name not in declared:
            hint = did_you_mean(name, declared, "the secrets are") if declared else "declare it: secrets: {NAME: {env: NAME}}"
            report.add(Code.UNKNOWN_SECRET, item.span, f"the flow has no secret `{name[:60]}`", hint)
            continue
        if isinstance(env, MapNode) and name in env.entries:
            message = f"{name[:60]} is a secret of this job and is in its `env` too"
            report.add(Code.SECRET, env.key_span(name), message, "remove one of them")
        found[name] = declared[name]
    return found


def sources_of(references: References) -> set[str]:
    """Return the worker's variables that hold secrets; jobs do not inherit them."""
    return {reference["env"] for reference in references.values() if "env" in reference}


def _check_name(name: str, spelling: ScalarNode, report: Report) -> None:
    """Report a name that cannot be an environment variable of a job."""
    if name.startswith("FLOWQ_"):
        message = f"{name[:60]} is set by flowq itself: FLOWQ_… names are reserved"
        report.add(Code.ENV_NAME, spelling.span, message, "choose another name")
    elif _changes_loading(name):
        message = f"{name[:60]} changes how programs load: it cannot be a secret"
        report.add(Code.PROTECTED_ENV, spelling.span, message, "choose another name")


def _changes_loading(name: str) -> bool:
    return protected(name) and not _HARMLESS.fullmatch(name)


def _secret(name: str, node: MapNode, place: Beside, scope: StaticScope, report: Report) -> Mapping[str, Json]:
    """Return the reference of a job's secret; {} after a problem."""
    if "command" not in node.entries:
        return reference(name, node, place, scope, report)
    if others := [kind for kind in ("env", "file") if kind in node.entries]:
        message = f"{name[:60]} has both `command` and `{others[0]}`: a secret has one source"
        report.add(Code.SECRET, node.key_span("command"), message, "keep one of them")
        return {}
    words = node.entries["command"][1]
    if not isinstance(words, ListNode) or not words.items:
        return {}
    texts = [_word(word, scope, report) for word in words.items]
    if not texts[0]:
        if not has_holes(words.items[0]):
            message = "expected the name of a program, found an empty text"
            report.add(Code.SECRET, words.items[0].span, message, f"write {name[:60]}: {{command: [program, argument]}}")
        return {}
    if any("\0" in text for text in texts):
        message = "an argument has a NUL character in it, which no program can get"
        report.add(Code.SECRET, words.span, message, "remove it")
        return {}
    return {"command": texts}


def _word(node: YamlNode, scope: StaticScope, report: Report) -> str:
    if isinstance(node, ScalarNode) and not isinstance(node.value, str):
        return written(node)
    return static_text(node, scope, report)


def reference(name: str, node: MapNode, place: Beside, scope: StaticScope, report: Report) -> dict[str, str]:
    """Return the reference of a node, as `declare_secrets` does; {} after a problem. `name`: its key, for messages."""
    kinds = [kind for kind in ("env", "file") if kind in node.entries]
    if len(kinds) != 1:
        found = "both `env` and `file`" if kinds else "neither `env` nor `file`"
        span = node.key_span(kinds[-1]) if kinds else node.span
        hint = f"write {name[:60]}: {{env: NAME}} or {name[:60]}: {{file: path}}"
        if kinds or not node.entries:  # an unknown key is reported already
            report.add(Code.SECRET, span, f"{name[:60]} has {found}: a secret has one source", hint)
        return {}
    kind = kinds[0]
    value = node.entries[kind][1]
    text = static_text(value, scope, report)
    if not text:
        return {}
    problem = _variable_problem(text) if kind == "env" else _path_problem(text)
    if problem is not None:
        report.add(Code.SECRET, value.span, *problem)
        return {}
    return {kind: text if kind == "env" or text.startswith("~/") else place.absolute(text)}


def _variable_problem(name: str) -> tuple[str, str] | None:
    if not VARIABLE.fullmatch(name):  # do not quote it: it may be the secret's value
        message = "expected the name of an environment variable: letters, digits and `_`, not a digit first"
        return message, "write only the name here, never the value"
    if name.startswith("FLOWQ_"):
        return f"{name[:60]} is a setting of flowq's own, which no job gets", "use a variable of your own"
    if _changes_loading(name):
        return f"{name[:60]} changes how programs load: every job needs it, so it cannot be a secret", "take another variable"
    return None


def _path_problem(path: str) -> tuple[str, str] | None:
    if "\0" in path or "\n" in path:
        return "expected the path of a file, found a string with line breaks", "write only the path here, never the value"
    return None
