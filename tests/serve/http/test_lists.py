"""Lists in parts: whatever the noun, all items come once, in one order, and a cursor of another list is refused."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from flowq.artifacts.manifest import written
from flowq.serve.http.lists import cursor, part
from flowq.serve.http.replies import RefusedError
from flowq.store import Store
from flowq.store.page.access import AccessRecord
from tests.serve.http.conftest import execute, start
from tests.support.page_server import PageServer, token_of


def parts(page: PageServer, path: str, token: str, limit: int) -> list[list[Any]]:
    """Return the items of each part of a list."""
    found: list[list[Any]] = []
    more = ""
    while True:
        document = page.api("GET", f"{path}?limit={limit}{more}", token=token).document
        found.append(document["items"])
        if document["next"] is None:
            return found
        more = f"&cursor={document['next']}"


def test_every_list_comes_in_parts(page: PageServer, store: Store, flows: Path) -> None:
    token = token_of(store, "admin", name="root")
    for number in range(4):
        store.accesses.grant(AccessRecord(f"digest{number}", "token", f"t{number}", "viewer", ()))
        store.schedules.beat("test", [(f"flows/x{number}:default", "d", False)])
        store.backfills.create(
            f"made{number}",
            {"max": 1, "schedule": "flows/x:default", "from": 0, "to": 1, "mode": "missing", "newest_first": "0"},
        )
    runs = [start(store, flows, queue) for queue in ("ask", "etl/tick", "etl/tick")]
    store.client.sadd(store.session.keys("queues"), "a", "b", "c")
    lists = {"/tokens": "id", "/schedules": "id", "/flows": "name", "/runs": "id", "/queues": "name", "/backfills": "id"}
    for path, key in lists.items():
        whole = [item[key] for item in page.api("GET", path, token=token).document["items"]]
        found = [[item[key] for item in some] for some in parts(page, path, token, 2)]
        assert len(whole) > 2, path
        assert [name for some in found for name in some] == whole
        assert [len(some) for some in found[:-1]] == [2] * (len(found) - 1)
    assert {run for some in parts(page, "/runs", token, 2) for run in (item["id"] for item in some)} == set(runs)


def test_a_part_of_the_artifacts_of_a_run_is_a_number_of_files(page: PageServer, store: Store, flows: Path) -> None:
    token = token_of(store, "viewer")
    run = start(store, flows)
    execute(store, run)
    for ordinal, counts in enumerate(({"many": 3, "none": 0}, {"one": 1})):
        store.client.hset(store.session.keys("job", f"{run}-{ordinal}"), "artifacts", "1")
        for name, count in counts.items():
            rows = [[f"f{number}", number, "0" * 64, False] for number in range(count)]
            stored = b"- " + written(rows, remote=False, job=f"{run}-{ordinal}", name=name).encode()
            store.client.hset(store.session.keys("artifacts", f"{run}-{ordinal}"), name, stored)
    found = parts(page, f"/runs/{run}/artifacts", token, 2)
    shown = [[(item["ordinal"], item["name"], [file["path"] for file in item["files"]]) for item in some] for some in found]
    assert shown == [[(0, "many", ["f0", "f1"])], [(0, "many", ["f2"]), (0, "none", [])], [(1, "one", ["f0"])]]


def test_what_comes_and_goes_between_two_parts_moves_no_other_item() -> None:
    names = ["b", "d", "f", "h"]
    first, after = part({"limit": 2}, names, lambda name: (name,))
    assert first == ["b", "d"]
    rest, end = part({"limit": 9, "cursor": after}, ["a", "c", "e", "f", "h"], lambda name: (name,))
    assert (rest, end) == (["e", "f", "h"], None)


def test_a_name_with_any_characters_is_a_cursor() -> None:
    name = "ü/\udc80 日本" * 20
    assert part({"limit": 1, "cursor": cursor((name,))}, [name, f"{name}!"], lambda item: (item,)) == ([f"{name}!"], None)


@pytest.mark.parametrize(
    "given", ["x", "", "!!!!", "e30=", "WzEuNV0=", "W3RydWVd", "WzFd", urlsafe_b64encode(json.dumps([[]]).encode()).decode()]
)
def test_a_cursor_of_another_list_is_refused(given: str) -> None:
    with pytest.raises(RefusedError, match="cursor is not one that this list gave"):
        part({"limit": 1, "cursor": given}, ["a"], lambda name: (name,))
