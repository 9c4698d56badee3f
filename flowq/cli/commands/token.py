"""`flowq token`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.types import Duration
from flowq.cli.render.output import show, show_json
from flowq.cli.render.styled_text import Line, columns, pad
from flowq.cli.terminal import echo
from flowq.exceptions import UsageError
from flowq.flows.views.text import safe_line
from flowq.serve.http.access.secrets import access_json, make_token
from flowq.serve.http.principals import ROLES, Role

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.page.access import AccessRecord


@click.group(epilog="Example: flowq token new deploy --role operator --expires 90d", no_args_is_help=True)
def command() -> None:
    """Make, list and revoke tokens for the API and the page.

    A user who can reach the server may: there is no other one to ask. In the API and on the page, admins do the same.
    """


@command.command(epilog="Example: flowq token new deploy --role operator --flow 'flows/etl/*'")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default=Role.VIEWER.word, show_default=True, help="What it allows.")
@click.option("--flow", "flows", multiple=True, metavar="PATTERN", help="Only flows that fit (`<catalog>/<flow>`). Repeatable.")
@click.option("--expires", type=Duration(), help="How long it counts, such as 90d.  [default: until it is revoked]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def new(session: CliContext, name: str, role: str, flows: tuple[str, ...], expires: float | None, *, as_json: bool) -> None:
    """Make a token and print it. It is shown this once: only its digest is kept.

    Programs send it as `Authorization: Bearer TOKEN`; the page asks for it where it has no link.
    """
    from flowq.flows.actions.approval import user

    store = session.store()
    secret, record = make_token(store, name, role, flows, seconds=expires, by=user())
    _note(store, f"token new {record.id}")
    if as_json:
        show_json({"token": secret, **access_json(record)})
    else:
        echo(secret)


@command.command("list", epilog="Example: flowq token list --json")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
def list_(session: CliContext, *, as_json: bool) -> None:
    """List tokens, sessions of browsers and sign-in links that count, the newest first; never their secrets."""
    found = sorted(session.store().accesses.all(), key=lambda record: (-record.created_ms, record.id))
    if as_json:
        show_json([access_json(record) for record in found])
    elif found:
        show(_table(found), session.out)
    else:
        complain("no tokens: `flowq token new NAME` makes one, `flowq ui` and `flowq serve` print links")


@command.command(epilog="Example: flowq token revoke 3f2a90cc41d0")
@click.argument("tokens", nargs=-1, required=True, metavar="ID...")
@url_option
@pass_context
def revoke(session: CliContext, tokens: tuple[str, ...]) -> None:
    """End tokens, sessions or links, by the ids of `flowq token list`. Sessions that were opened with a token end with it."""
    store = session.store()
    accesses = store.accesses
    known = {record.id: record for record in accesses.all()}
    if unknown := [given for given in tokens if given not in known]:
        raise UsageError(f"there is no token {', '.join(unknown)}: `flowq token list` has the ids. Nothing was revoked")
    for given in tokens:
        accesses.revoke(known[given].digest)
        _note(store, f"token revoke {given}")
        echo(f"revoked {known[given].kind} {given} ({safe_line(known[given].name)})")


def _note(store: "Store", path: str) -> None:
    """Note a change in the log that admins see, as the API does."""
    from flowq.flows.actions.approval import user

    fields = {"name": user(), "role": Role.ADMIN.word, "address": "", "action": "flowq", "path": path, "status": "0"}
    store.accesses.note(fields)


def _table(found: Sequence["AccessRecord"]) -> Iterator[Line]:
    rows = [("ID", "KIND", "NAME", "ROLE", "FLOWS", "EXPIRES", "USED")]
    for record in found:
        item = access_json(record)
        flows = ", ".join(item["flows"])
        rows.append(
            (
                *(item["id"], item["kind"], safe_line(item["name"]), item["role"], safe_line(flows)),
                *(item["expires_at"] or "never", item["used_at"] or "not yet"),
            )
        )
    widths = [max(columns(row[index]) for row in rows) for index in range(len(rows[0]))]
    for number, row in enumerate(rows):
        line = "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True))
        yield ((line, "" if number else "dim"),)
