"""`flowq acl`."""

import secrets

import click

from flowq.cli.context import complain, url_option
from flowq.cli.terminal import echo
from flowq.config import load_settings
from flowq.exceptions import UsageError
from flowq.store.schema.rights import ServerRole, rules


@click.command(epilog="Example: flowq acl worker --user etl")
@click.argument("role", type=click.Choice([role.value for role in ServerRole]))
@click.option("--user", metavar="NAME", help="Name of the user.  [default: flowq-ROLE]")
@click.option(
    "--keep-password", is_flag=True, help="Leave the password out: for a user that exists, after an upgrade of flowq."
)
@url_option
def command(role: str, user: str | None, *, keep_password: bool) -> None:
    """Print the ACL SETUSER line for a user of the server.

    The user has the rights that a role needs, and no others: `worker` for workers, schedulers, `serve` and `ui`, `submitter` for
    commands and programs that start, change and delete runs and jobs, `viewer` for commands that only look. They are for the
    keys of the namespace (FLOWQ_NAMESPACE, flowq.toml). The line has a new random password each time; nothing is sent to a server.
    """
    name = user or f"flowq-{role}"
    if not name.isascii() or not name.isprintable() or set(name) & set(" '\""):
        raise UsageError(
            f"the user {name!r} has a character that is not allowed: expected letters, digits and signs without quotes and spaces"
        )
    password = [] if keep_password else [f">{secrets.token_urlsafe(24)}"]
    words = ["on", *password, *rules(ServerRole(role), load_settings().namespace.value)]
    echo(" ".join(["ACL", "SETUSER", name, *(f"'{word}'" if word[0] in "~%>" else word for word in words)]))
    if password:
        complain(
            f"an administrator of the server runs this line; then `-u redis://{name}:PASSWORD@HOST`, with the password in it, uses it"
        )
