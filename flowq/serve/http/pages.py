"""The files of the page: the shell for all its addresses, and assets, whose addresses have their hash."""

import re
from collections.abc import Mapping
from typing import Final

from flowq.page.assets import assets, compressed, shell
from flowq.serve.http.replies import Reply, error_reply
from flowq.serve.http.site import SiteOptions

_HTML: Final = "text/html; charset=utf-8"
_TABS: Final = {
    "jobs": "jobs",
    "timeline": "timeline",
    "logs": "logs",
    "artifacts": "artifacts",
    "events": "run_texts",
    "yaml": "run_texts",
}
ROUTES: Final[Mapping[str, tuple[str, ...]]] = {  # the modules of each address, by their names in `js/pages`
    r"/": ("home",),
    r"/runs": ("runs",),
    r"/runs/[^/]+(?:/graph)?": ("run", "graph"),
    **{rf"/runs/[^/]+/{tab}": ("run", module) for tab, module in _TABS.items()},
    r"/flows": ("flows",),
    r"/flows/[^/]+": ("flow",),
    r"/flows/[^/]+/launch": ("launch",),
    r"/schedules(?:/[^/]+)?": ("schedules",),
    r"/queues|/workers": ("machines",),
    r"/admin": ("admin",),
    r"/login": (),
}


def answer(options: SiteOptions, path: str, *, takes_gzip: bool) -> Reply:
    """Return what a browser gets for a path: an asset, or the page."""
    if path.startswith("/assets/"):
        found = assets().get(path.removeprefix("/assets/"))
        if found is None:
            return error_reply(404, "not_found", "there is no such file")
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
        if not takes_gzip:
            return Reply(200, found.content, found.media_type, headers)
        return Reply(200, compressed(found.path), found.media_type, headers | {"Content-Encoding": "gzip"})
    for pattern, views in ROUTES.items():
        if re.fullmatch(f"(?:{pattern})/?", path):
            return Reply(200, shell(options.prefix, tuple(f"js/pages/{view}.js" for view in views)), _HTML)
    return Reply(404, shell(options.prefix), _HTML)  # the page says so in its own words
