"""`flowq token`."""

import json

import pytest

from flowq.serve.http.access.secrets import find
from flowq.store import Store
from tests.cli.conftest import Cli


def test_a_token_is_made_listed_and_revoked(cli: Cli, store: Store) -> None:
    assert "flowq token new NAME" in cli("token", "list").err
    made = cli("token", "new", "deploy", "--role", "operator", "--flow", "flows/etl/*", "--expires", "90d")
    secret = made.out.strip()
    record = find(store, secret, ("token",))
    assert record is not None
    assert (record.name, record.role, record.flows) == ("deploy", "operator", ("flows/etl/*",))
    assert record.expires_ms is not None
    assert 0 < record.expires_ms - store.now_ms() <= 90 * 86_400_000
    listed = cli("token", "list").out
    assert listed.splitlines()[1].split()[:5] == [record.id, "token", "deploy", "operator", "flows/etl/*"]
    assert secret not in listed + cli("token", "list", "--json").out
    assert cli("token", "revoke", record.id).out == f"revoked token {record.id} (deploy)\n"
    assert find(store, secret, ("token",)) is None
    noted = [entry.fields["path"] for entry in store.accesses.audit("+", 10)]
    assert noted == [f"token revoke {record.id}", f"token new {record.id}"]


def test_the_document_of_a_token(cli: Cli, store: Store) -> None:
    document = json.loads(cli("token", "new", "x", "--json").out)
    record = find(store, document["token"], ("token",))
    assert record is not None
    assert (document["id"], document["role"], document["flows"], document["expires_at"]) == (record.id, "viewer", ["*"], None)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["new", "x", "--role", "admin", "--flow", "a/*"], "an admin is not limited to flows"),
        (["new", "a\u202eb"], "U+202E"),
        (["new", " "], "it is empty"),
        (["new", "x", "--expires", "11y"], "--expires"),
        (["new", "x", "--expires", "5000d"], "ten years at most"),
        (["new", "x", "--expires", "0s"], "ten years at most"),
        (["revoke", "0" * 12], "Nothing was revoked"),
    ],
)
def test_what_is_refused_makes_nothing(cli: Cli, store: Store, arguments: list[str], text: str) -> None:
    refused = cli("token", *arguments)
    assert (refused.code, refused.out) == (2, "")
    assert text in refused.err
    assert store.accesses.all() == []


def test_one_unknown_id_revokes_nothing(cli: Cli, store: Store) -> None:
    secret = cli("token", "new", "x").out.strip()
    record = find(store, secret, ("token",))
    assert record is not None
    assert cli("token", "revoke", record.id, "0" * 12).code == 2
    assert find(store, secret, ("token",)) is not None
