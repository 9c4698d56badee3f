"""The user of a request: by its token or its cookie, or, where no credentials are needed, the user of this process."""

import threading
import time
from collections.abc import Mapping
from typing import Final

from flowq.serve.http.access.attempts import Attempts
from flowq.serve.http.access.secrets import find, is_link, principal_of
from flowq.serve.http.principals import ANONYMOUS, Principal, Role
from flowq.serve.http.replies import RefusedError
from flowq.store import Store
from flowq.store.page.access import digest_of

_KEPT: Final = 1.0  # s for which an answer of the store counts; one that is revoked is refused after that
_MOST: Final = 2000  # answers that are kept
_TOUCH: Final = 60.0  # s between notes that one is used


class Doorkeeper:
    """Finds out who asks.

    Args:
        store: where secrets are.
        cookie: name of the cookie.
        everyone: the name of the user that all requests are from, without any credentials; None: credentials are needed.
    """

    def __init__(self, store: Store, cookie: str, everyone: str | None = None) -> None:
        self.cookie = cookie
        self.attempts = Attempts()
        self._store = store
        self._everyone = None if everyone is None else Principal(everyone, Role.ADMIN)
        self._known: dict[str, tuple[float, Principal]] = {}
        self._touched: dict[str, float] = {}
        self._lock = threading.Lock()

    def has_credentials(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request has a token or a cookie, or needs none; whether they count is not asked yet."""
        return self._everyone is not None or "authorization" in headers or self.cookie in _cookies(headers.get("cookie", ""))

    def principal(self, headers: Mapping[str, str], address: str) -> Principal:
        """Return the user of a request, `ANONYMOUS` if it has no credentials.

        Raises:
            RefusedError: its token is unknown, or its address has failed too often.
        """
        if self._everyone is not None:
            return self._everyone
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            if not self._has_counted(token.strip()):
                self.check(address)
            return self._known_one(token.strip(), "token", address) or self._wrong(address, token.strip())
        secret = _cookies(headers.get("cookie", "")).get(self.cookie)
        found = None if secret is None else self._known_one(secret, "session", address)
        return ANONYMOUS if found is None else found

    def check(self, address: str) -> None:
        """Refuse an address that has failed too often."""
        wait = self.attempts.wait(address)
        if wait:
            text = "too many attempts with a wrong token from this address"
            raise RefusedError(429, "too_many_attempts", text, headers={"Retry-After": str(int(wait) + 1)})

    def forget(self, digest: str = "") -> None:
        """Forget what is known of a secret, or of all."""
        with self._lock:
            if digest:
                self._known.pop(digest, None)
            else:
                self._known.clear()

    def is_valid(self, principal: Principal) -> bool:
        """Return whether the secret of a user still counts; of long answers it is asked again and again."""
        return not principal.digest or self._store.accesses.find(principal.digest) is not None

    def _wrong(self, address: str, secret: str) -> Principal:
        self.attempts.fail(address, digest_of(secret))
        text = "the token is unknown, has expired or was revoked"
        if is_link(secret):
            text = "this is the secret of a link that signs a browser in, and no token: `flowq token new NAME` makes one"
        raise RefusedError(401, "unauthorized", text, headers=_CHALLENGE)

    def _has_counted(self, secret: str) -> bool:
        """Return whether a token was right before: guesses of others at its address do not keep it out."""
        with self._lock:
            return digest_of(secret) in self._touched

    def _known_one(self, secret: str, kind: str, address: str) -> Principal | None:
        digest, now = digest_of(secret), time.monotonic()
        with self._lock:
            until, principal = self._known.get(digest, (0.0, ANONYMOUS))
        if until > now and principal.cookie == (kind == "session"):
            return principal
        record = find(self._store, secret, (kind,))
        if record is None:
            with self._lock:
                self._known.pop(digest, None)
                self._touched.pop(digest, None)
            return None
        principal = principal_of(record)
        with self._lock:
            if len(self._known) >= _MOST:
                self._known.clear()
                self._touched.clear()
            self._known[digest] = (now + _KEPT, principal)
            touch = now - self._touched.get(digest, -_TOUCH) >= _TOUCH
            self._touched[digest] = now if touch else self._touched[digest]
        if touch:
            self._store.accesses.touch(digest, address)
        return principal


_CHALLENGE: Final = {"WWW-Authenticate": "Bearer"}


def unauthorized() -> RefusedError:
    """Return the refusal of a request without credentials."""
    return RefusedError(401, "unauthorized", "sign in with a token first", headers=_CHALLENGE)


def _cookies(header: str) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, equals, value in pairs if equals}
