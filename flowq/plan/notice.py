"""Messages about runs (`notify` of a flow): on which events they are sent, and where to."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from flowq import signing
from flowq.plan.records import Json

KINDS: Final = ("failed", "finished", "canceled", "skipped", "recovered", "slow", "waiting", "refused")
"""The events: the ends of a run, its first success after a failure, a long one, an approval, a slot whose flow is not valid."""

TIMEOUT: Final = 10.0  # s of one try

_USUAL: Final = "usual"
_SIGNED: Final = "notice"
_UNSIGNED: Final = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A message about runs.

    Attributes:
        on: the events, of `KINDS`.
        to: a reference to the address, as of a secret: `{env: NAME}` or `{file: PATH}`. The address itself is stored nowhere.
        secret: a reference to the key that messages to an https address are signed with.
        message: the text, a templated value; None: one that says what happened.
        slow: seconds after which a run is slow; None: twice the median of the flow's latest runs.
    """

    on: tuple[str, ...]
    to: Mapping[str, str]
    secret: Mapping[str, str] | None = None
    message: Json = None
    slow: float | None = None

    @property
    def address(self) -> str:
        """The reference to the address, for messages."""
        return f"${self.to['env']}" if "env" in self.to else self.to["file"]

    def stored(self) -> str:
        """Return the line of a run's field `notify`: events, ms of a try, when a run is slow, signature, JSON."""
        text = json.dumps(asdict(self), ensure_ascii=True, sort_keys=True)
        slow = 0 if "slow" not in self.on else _USUAL if self.slow is None else max(1, round(self.slow * 1000))
        signed = signing.signature(text.encode(), _SIGNED) or _UNSIGNED
        return f"{','.join(self.on)} {int(TIMEOUT * 1000)} {slow} {signed} {text}"

    @classmethod
    def restored(cls, text: str, signed: str) -> "Notice":
        """Return a notice from its JSON.

        Raises:
            SignatureError: the notice was not signed with this machine's key.
        """
        signing.verify(text.encode(), "" if signed == _UNSIGNED else signed, _SIGNED)
        return _from_json(text)


def stored_notices(lines: str) -> list[Notice]:
    """Return the notices of a run's field `notify`, without those that cannot be read.

    They are for a look only: their signatures are not verified, so nothing may be sent by them.
    """
    found = []
    for line in lines.splitlines():
        with suppress(ValueError, TypeError, KeyError):
            found.append(_from_json(line.split(" ", 4)[-1]))
    return found


def _from_json(text: str) -> Notice:
    found = json.loads(text)
    return Notice(**found | {"on": tuple(found["on"])})
