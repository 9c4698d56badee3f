"""The page: what a browser loads from `flowq serve`.

The page is a client of the public API (`/api/v1`) and nothing more: this package holds its files and knows neither runs nor the store.
There is no build step. `static/shell.html` is the one document, `static/js` are ES modules, `static/style` the style sheets and
`static/vendor` Preact and htm. Nothing is loaded from another host.

Invariants, held by `tests/page`:

* text reaches the document as text nodes only: no `innerHTML`, no inline script or style (the policy of the server forbids them);
* `js/time.js` is the only place that formats a time or a duration;
* a status is shown by mark, word and colour (`js/status.js`), never by colour alone;
* all scripts together stay below 150 kB.
"""
