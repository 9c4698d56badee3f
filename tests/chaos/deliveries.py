"""A client that sends signed deliveries to the page of a round, each again until it is answered and some once more, and notes those that were accepted."""

import hashlib
import hmac
import json
import os
import select
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from tests.chaos.served import SECRET

JOURNAL: Final = "deliveries"
_PAUSE: Final = 1.5  # s between two deliveries
_AGAIN: Final = 0.3  # s until one that was not answered is sent again
_REPEATED: Final = 3  # of so many deliveries one is sent once more after it was accepted
_TIMEOUT: Final = 2.0  # s; a page that is stopped answers later


def main(place: Path, port: int) -> None:
    """Send deliveries; after SIGTERM see to it that the last one is accepted, and end."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: asked.append(number))
    number = 0
    while not asked:
        number += 1
        name = f"d{number}"
        while not _is_accepted(port, name):
            select.select((), (), (), _AGAIN)
        with (place / JOURNAL).open("a") as journal:
            journal.write(f"{name}\n")
        if number % _REPEATED == 0:  # by a sender that has lost the answer
            _is_accepted(port, name)
        select.select((), (), (), _PAUSE)


def _is_accepted(port: int, name: str) -> bool:
    """Send a delivery; return whether it was accepted."""
    body = json.dumps({"number": name}).encode()
    signature = hmac.new(os.environ[SECRET].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Flowq-Signature": f"sha256={signature}", "X-Flowq-Delivery": name}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/hooks/hook/came", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT):  # noqa: S310
            return True
    except urllib.error.HTTPError as error:
        if error.code < 500:
            sys.exit(f"delivery {name} was refused: {error.code} {error.read()!r}")
        return False
    except OSError:  # refused, cut, too late
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
