"""`Webhook`: an HTTP request that is made when a job has finished or failed.

A worker makes it from inside its network, by what the store says. So with a secret key each is signed for itself: the job's record, whose
signature covers its webhooks, may be gone when a request is made.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from flowq import signing
from flowq.durations import milliseconds, parse_duration, whole
from flowq.exceptions import UsageError

_STATUSES: Final = ("finished", "failed")
_METHODS: Final = ("GET", "POST")
_SIGNED: Final = "webhook of a job"


class Webhook:
    """A request to a URL when a job has ended. `queue.enqueue(f, webhooks=[Webhook("https://…", "failed", method="POST")])`.

    A POST has a JSON document with the job's id, function, status and times, and of a failure the error. How it is delivered:
    docs/webhooks.md.

    Args:
        url: of http or https.
        job_status: `finished`: after each success; `failed`: when the job has failed and no retries are left.
        method: GET or POST.
        headers: further headers.
        timeout: whole seconds of one try, or text such as "5s".

    Raises:
        UsageError: a value is invalid.
    """

    def __init__(
        self,
        url: str,
        job_status: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        timeout: float | str = 10,
    ) -> None:
        self.url = _checked_url(url)
        self.job_status = _one_of("job_status", str(job_status), _STATUSES)
        self.method = _one_of("method", method, _METHODS)
        self.headers = _checked_headers(headers)
        self.timeout = whole(parse_duration(timeout))
        without_unit = str(timeout)[-1:].isdigit() and not isinstance(timeout, int)
        if without_unit or self.timeout != int(self.timeout):
            raise UsageError(f"Webhook(timeout=…) must be whole seconds, or text with a unit such as '5s', found {timeout!r}")
        if self.timeout <= 0:
            raise UsageError(f"Webhook(timeout=…) must be above 0, found {timeout!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "url": self.url,
            "job_status": self.job_status,
            "method": self.method,
            "headers": self.headers,
            "timeout": self.timeout,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Webhook":
        """Return a webhook from its plain data."""
        rest = {name: data[name] for name in ("method", "headers", "timeout") if data.get(name) is not None}
        if isinstance(rest.get("timeout"), float):  # stored by an earlier version
            rest["timeout"] = math.ceil(rest["timeout"])
        return cls(data["url"], data["job_status"], **rest)

    @classmethod
    def verified(cls, spec: str) -> "Webhook":
        """Return a webhook from the JSON of its stored form.

        Raises:
            SignatureError: there is a secret key, and it was not signed with it.
        """
        data = json.loads(spec)
        found = cls.from_dict(data)
        signing.verify(_plain(found), str(data.get("signed", "")), _SIGNED)
        return found

    def stored(self) -> str:
        """Return its stored form, one line."""
        signed = signing.signature(_plain(self), _SIGNED)
        spec = json.dumps({**self.to_dict(), **({"signed": signed} if signed else {})})
        return f"{self.job_status} {milliseconds(self.timeout)} {spec}"

    @classmethod
    def restored(cls, text: str | None) -> "tuple[Webhook, ...]":
        """Return a job's webhooks from their stored form."""
        lines = text.split("\n") if text else []
        return tuple(cls.from_dict(json.loads(line.split(" ", 2)[2])) for line in lines)

    def get_payload(self, job: Any, *, exc_string: str | None = None) -> dict[str, Any]:
        """Return the JSON document of a POST about a job."""
        times = [None if when is None else when.isoformat() for when in (job.enqueued_at, job.ended_at)]
        return self.document(job.id, job.func_name, (times[0], times[1]), exc_string)

    def document(self, job_id: str, func: str, times: tuple[str | None, str | None], error: str | None) -> dict[str, Any]:
        """Return the JSON document of a POST; `times` are when the job was enqueued and when it ended."""
        document = {
            "job_id": job_id,
            "func_name": func,
            "status": self.job_status,
            "enqueued_at": times[0],
            "ended_at": times[1],
        }
        return {**document, "exc_info": error} if self.job_status == "failed" else document

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Webhook) and other.to_dict() == self.to_dict()

    def __hash__(self) -> int:
        return hash(_plain(self))

    def __repr__(self) -> str:
        return f"Webhook({self.url!r}, {self.job_status!r}, method={self.method!r})"


def _plain(webhook: Webhook) -> bytes:
    """Return what is signed of a webhook."""
    return json.dumps(webhook.to_dict()).encode()


def _checked_url(url: Any) -> str:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        fine = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not match
        fine = False
    if not fine or not url.isascii() or any(character <= " " for character in url):
        raise UsageError(f"Webhook(url=…) must be an http:// or https:// URL without blanks, found {url!r}")
    return str(url)


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"Webhook({name}=…): expected {' or '.join(allowed)}, found {value!r}")
    return str(value)


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str] | None:
    if headers is None:
        return None
    texts = [text for pair in headers.items() for text in pair] if hasattr(headers, "items") else [None]
    fine = all(type(text) is str and text.isascii() and not any(character in text for character in "\r\n\0") for text in texts)
    if not fine:
        raise UsageError(f"Webhook(headers=…) must be a dict of texts without line breaks, found {type(headers).__name__}")
    return dict(headers)
