"""The way back that docs/server.md tells: a backup that was made before an upgrade has the data as the earlier version wrote them."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.upgrade.old_home import OldHome


def state(client: Any) -> dict[bytes, Any]:
    """Return the value of each key; those of a hash and a set have no order."""
    read: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter(count=1000)}


def test_a_backup_from_before_the_upgrade_is_unchanged(fresh: OldHome) -> None:
    before = state(fresh.client)
    assert before
    with tempfile.TemporaryDirectory(prefix="fq-back-", dir="/tmp") as directory:
        copy = Path(directory) / "backup"
        assert "backed up " in fresh.call("server", "backup", str(copy))
        assert state(fresh.client) == before, "a backup opens nothing, so it migrates nothing"
        fresh.call("runs")
        assert fresh.client.hget("{flowq}:meta", "schema") == b"2"
        fresh.client.close()
        fresh.call("server", "stop", "--force")
        shutil.rmtree(fresh.root / "data")
        shutil.copytree(copy / "data", fresh.root / "data")
        fresh.call("server", "start")
    assert state(fresh.client) == before
    assert fresh.client.hget("{flowq}:meta", "schema") == b"1"
