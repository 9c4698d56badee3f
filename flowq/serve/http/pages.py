"""The files of the page: the shell for all its addresses, and assets, whose addresses have their hash."""

import re
from typing import Final

from flowq.page.assets import assets, shell
from flowq.serve.http.replies import Reply, error_reply
from flowq.serve.http.site import SiteOptions

_HTML: Final = "text/html; charset=utf-8"
_ROUTES: Final = re.compile(
    r"/(?:runs(?:/[^/]+(?:/(?:graph|jobs|timeline|logs|events|yaml))?)?|flows(?:/[^/]+(?:/launch)?)?"
    r"|schedules(?:/[^/]+)?|queues|workers|admin|login)?/?"
)


def answer(options: SiteOptions, path: str) -> Reply:
    """Return what a browser gets for a path: an asset, or the page."""
    if path.startswith("/assets/"):
        found = assets().get(path.removeprefix("/assets/"))
        if found is None:
            return error_reply(404, "not_found", "there is no such file")
        return Reply(200, found.content, found.media_type, {"Cache-Control": "public, max-age=31536000, immutable"})
    status = 200 if _ROUTES.fullmatch(path) else 404  # the page says so in its own words
    return Reply(status, shell(options.prefix), _HTML)
