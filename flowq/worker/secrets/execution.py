"""The secrets of one execution: their values for the horse, and the mask for everything that comes back from it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from flowq.worker.ipc.messages import failed
from flowq.worker.secrets.encodings import SHORTEST
from flowq.worker.secrets.masking import Mask, MaskedStream, too_short

if TYPE_CHECKING:
    from flowq.plan import Json
    from flowq.worker.ipc.messages import TaskResult
    from flowq.worker.secrets.command import CommandSecrets


class ExecutionSecrets:
    """Values of secrets by the names of the variables that get them. Only `environment` returns values.

    Some may come from commands: then `look_up` comes first.
    """

    __slots__ = ("_commands", "_mask", "_values")

    def __init__(self, values: Mapping[str, str], commands: "CommandSecrets | None" = None) -> None:
        self._values = dict(values)
        self._mask = Mask(values)
        self._commands = commands

    def __repr__(self) -> str:
        return f"ExecutionSecrets({', '.join(self._values)})"

    def look_up(self) -> float | None:
        """Start the commands that give some, or look at them; return the monotonic time of the next look, None when all values are there.

        Raises:
            SecretError: one is not available; the text says where and why.
        """
        if self._commands is None:
            return None
        found = self._commands.look()
        if found is None:
            return self._commands.alarm()
        self._commands = None
        self._values |= found
        self._mask = Mask(self._values)
        return None

    def stop(self) -> None:
        """End the commands that are still at work."""
        if self._commands is not None:
            self._commands.stop()

    def environment(self) -> dict[str, str]:
        """Return the variables with their values, for the horse."""
        return dict(self._values)

    def warnings(self) -> Iterator[str]:
        """Yield warnings for the job's log."""
        for name in too_short(self._values):
            yield f"the secret {name} has fewer than {SHORTEST} characters: it is not masked"

    def stream(self) -> MaskedStream:
        """Return the mask of one stream of output."""
        return MaskedStream(self._mask)

    def outcome(self, outcome: "TaskResult") -> "tuple[TaskResult, list[str]]":
        """Return an outcome without secrets, and the warnings for the job's log."""
        masked = dict(outcome)
        for text in ("error", "note"):
            if text in outcome:
                masked[text] = self._mask.error(outcome[text])
        if "cache" in outcome:
            masked["cache"] = self._cache(outcome["cache"])
        if "artifacts" in outcome and (told := self._told_by_names(outcome["artifacts"])):
            del masked["artifacts"]
            if outcome["outcome"] == "finished":
                return failed("error", told, exit_code=outcome["exit_code"]), []
            return masked, [told]
        if outcome.get("outcome") != "finished":
            return masked, []
        written: bytes = outcome["value"]
        if b"\\" not in written and not self._mask.apply(written)[1]:
            return masked, []  # nothing is escaped, so that a secret would stand there as it is
        names: set[str] = set()
        value = self._json(json.loads(written), names)
        if not names:
            return masked, []
        masked["value"] = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return masked, [f"the job's result had the secret {name} in it: it is masked there too" for name in sorted(names)]

    def masked(self, outcome: "TaskResult", note: Callable[[str], None]) -> "TaskResult":
        """Return an outcome without secrets; `note` gets the warnings for the job's log."""
        outcome, warnings = self.outcome(outcome)
        for warning in warnings:
            note(warning)
        return outcome

    def _told_by_names(self, said: "Mapping[str, Json]") -> str:
        """Return why files cannot be kept: a name would tell a secret. "" for none; their contents are the user's business."""
        for item in said["items"]:
            for row in item["files"]:
                found = self._mask.apply(row[0].encode())[1]
                if found:
                    return f"artifacts: {item['name']}: the name of a file has the secret {min(found)} in it: such a file is not kept"
        return ""

    def _cache(self, said: "Mapping[str, Json]") -> "dict[str, Json]":
        """Return a cache record without secrets: a file's name may contain one. Such a file is not found again, so the job runs."""
        told = {**said, "reason": self._mask.text(said["reason"])}
        for name in ("record", "latest"):
            if name in said:
                told[name] = json.dumps(self._json(json.loads(said[name]), set()))
        return told

    def _json(self, value: "Json", names: set[str]) -> "Json":
        """Return a JSON value without secrets; a number that is one becomes text."""
        if isinstance(value, dict):
            return {self._json(key, names): self._json(item, names) for key, item in value.items()}
        if isinstance(value, list):
            return [self._json(item, names) for item in value]
        if value is None or isinstance(value, bool):
            return value
        text = value if isinstance(value, str) else json.dumps(value)
        masked, found = self._mask.apply(text.encode("utf-8", "surrogatepass"))  # names of files may have any bytes
        names |= found
        return masked.decode("utf-8", "replace") if found else value
