"""A process that deletes all runs and plain jobs of a round, so that nothing of them may be left."""

from flowq.connections.clients import open_store
from flowq.flows.actions.garbage_collection import Wish, find_garbage
from flowq.ids import is_member_id


def main() -> None:
    """Delete them, as `flowq gc --keep 0` and `job.delete` do."""
    store = open_store()
    find_garbage(store, Wish(keep=0)).remove(store)
    prefix = store.session.keys("job", "")
    pattern = prefix.replace("{", "\\{").replace("}", "\\}") + "*"
    for name in [key.decode().removeprefix(prefix) for key in store.session.client.scan_iter(match=pattern, count=1000)]:
        if not is_member_id(name):
            store.jobs.delete(name)


if __name__ == "__main__":
    main()
