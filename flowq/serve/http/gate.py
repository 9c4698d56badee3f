"""What is refused before anything is looked at, and the headers that every answer has.

A page of another site can let a browser send requests here: by a name of its own that it lets point here (`Host`), or from its own origin. So
only known names and the page's own origin count, and there is no header of CORS at all.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from flowq.serve.http.principals import SAFE, Principal
from flowq.serve.http.replies import RefusedError
from flowq.serve.http.site import SiteOptions

Headers: TypeAlias = Mapping[str, str]
Pairs: TypeAlias = list[tuple[bytes, bytes]]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS: Final[Headers] = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
HEAD: Final = 16 * 1024
"""Bytes of the head of a request."""

QUERY: Final = 8 * 1024
"""Bytes of the parameters of a request."""

_CACHE: Final = (b"cache-control", b"no-store")


def check_host(options: SiteOptions, pairs: Pairs, path: str, query: bytes = b"") -> str:
    """Check that a request is for this page; return its path below the prefix.

    Raises:
        RefusedError: it is for another host, or its target is a whole address, or its head or its parameters are too large.
    """
    if len(query) > QUERY:
        raise RefusedError(414, "query", f"the parameters of a request may have {QUERY:,} bytes")
    if len(path) + sum(len(name) + len(value) for name, value in pairs) > HEAD:
        raise RefusedError(431, "head", f"the head of a request may have {HEAD:,} bytes")
    hosts = [value.decode("latin-1") for name, value in pairs if name == b"host"]
    if len(hosts) != 1 or hosts[0].lower() not in options.hosts():
        shown = hosts[0][:100] if hosts else ""
        text = f"this page does not answer as {shown!r}: open {options.url}/, or name that address with --public-url"
        raise RefusedError(421, "host", text)
    if not path.startswith("/"):
        raise RefusedError(400, "target", "the target of a request is a path")
    prefix = options.prefix
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :] or "/"
    return path


def address_of(options: SiteOptions, client: tuple[str, int] | None, headers: Headers) -> str:
    """Return the address of the client; of a trusted proxy the one that it names."""
    address = client[0] if client else ""
    if options.trusted and address == options.trusted:
        named = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return named[:64] or address
    return address


def check_origin(options: SiteOptions, method: str, headers: Headers, principal: Principal) -> None:
    """Check that a request which changes something comes from the page, and not from a page of another site.

    Raises:
        RefusedError: it does not.
    """
    if method in SAFE:
        return
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in options.origins():
        raise RefusedError(403, "origin", "the request comes from a page of another site")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise RefusedError(403, "origin", "the request comes from a page of another site")
    if principal.cookie and origin is None:
        raise RefusedError(403, "origin", "a request with a cookie needs `Origin`: programs send a token instead")


def with_headers(message: dict[str, Any]) -> dict[str, Any]:
    """Return the start of an answer with the headers that every answer has."""
    pairs: Pairs = list(message.get("headers", []))
    present = {name.lower() for name, _ in pairs}
    pairs += [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.lower().encode() not in present]
    if _CACHE[0] not in present:
        pairs.append(_CACHE)
    return {**message, "headers": pairs}
