"""The forms of what a horse tells its supervisor. Its job can write to the stream too, so nothing is believed that has another form."""

from typing import Final

from flowq.states import Reason

_REASONS: Final = frozenset({Reason.ERROR, Reason.TIMEOUT, Reason.KILLED, Reason.INVALID_RESULT})
"""For which a horse may say that its job has failed."""


def is_told(message: object, *, by_driver: bool = False) -> bool:
    """Return whether a message has the form of what a horse tells (`flowq.worker.ipc.messages`).

    Args:
        message: what has come.
        by_driver: it is from the driver of an executor, which jobs cannot reach: it also says what became of the start of a job.
    """
    match message:
        case {"outcome": _, "unstarted": _} if not by_driver:
            return False
        case {"outcome": _}:
            return _is_outcome(message)
        case {"stays": bool()}:
            return not by_driver
        case {"granted": str()}:
            return by_driver
        case {"executes": True}:
            return not by_driver
        case {"phase": int() | float() | None, "so_far": so_far}:
            return so_far is None or _is_failure(so_far)
    return False


def _is_failure(message: object) -> bool:
    match message:
        case {"outcome": "failed"}:
            return _is_outcome(message)
    return False


def _is_outcome(message: object) -> bool:
    match message:
        case {"note": note} if not isinstance(note, str):
            return False
        case {"cache": cache} if not _is_cache(cache):
            return False
        case {"artifacts": kept} if not _are_artifacts(kept):
            return False
        case {"bases": bases} if not (isinstance(bases, list) and all(isinstance(name, str) for name in bases)):
            return False
        case {"outcome": "finished", "value": bytes(), "exit_code": int() | None}:
            return True
        case {"outcome": "failed", "reason": reason, "error": str(), "exception": str(), "exit_code": int() | None}:
            return isinstance(reason, str) and reason in _REASONS
        case {"outcome": "retry", "max": int(), "intervals": list(intervals), "at_front": bool()}:
            return all(isinstance(interval, int | float) for interval in intervals)
    return False


def _is_cache(said: object) -> bool:
    match said:
        case {"hit": bool(), "reason": str(), **rest}:
            kept = {"id", "ttl"} if "digest" in rest else set()
            return kept <= rest.keys() and all(
                isinstance(value, int | None if name == "ttl" else str) for name, value in rest.items()
            )
    return False


def _are_artifacts(kept: object) -> bool:
    match kept:
        case {"items": list(items), "contents": dict(contents)}:
            return all(map(_is_artifact, items)) and all(
                isinstance(digest, str) and isinstance(content, bytes) for digest, content in contents.items()
            )
    return False


def _is_artifact(item: object) -> bool:
    match item:
        case {"name": str(), "keep": int() | None, "files": list(files), "remote": bool()}:
            return all(_is_file(row) for row in files)
    return False


def _is_file(row: object) -> bool:
    match row:
        case [str(), int(), str(), bool() | int()]:
            return True
    return False
