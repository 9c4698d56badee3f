"""The queue API over a connection that loses replies: every operation takes effect once."""

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from flowq import Queue, Repeat, Retry, SimpleWorker
from flowq.command import send_shutdown_command
from flowq.job import Job
from flowq.store.schema.records import Registration
from flowq.suspension import is_suspended, resume, suspend
from tests.api import samples
from tests.api.conftest import lines
from tests.support.proxy import Proxy


@pytest.fixture
def lossy(connection: redis.Redis) -> Iterator[redis.Redis]:
    """A client that loses a third of the replies, never three in a row."""
    rng = random.Random(11)
    lost = [0]

    def lose(_number: int) -> bool:
        lost[0] = lost[0] + 1 if lost[0] < 2 and rng.random() < 0.33 else 0
        return lost[0] > 0

    proxy = Proxy(connection.connection_pool.connection_kwargs["path"], lose)
    with redis.Redis(unix_socket_path=proxy.path, socket_timeout=10) as client:
        client.get("warm-up")
        yield client
    assert proxy.lost > 5, "the proxy had nothing to lose"
    proxy.close()


def test_everything_happens_once(queue: Queue, lossy: redis.Redis, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    far = Queue("default", connection=lossy)
    first = far.enqueue(samples.write, log, "first\n")
    far.enqueue(samples.write, log, "child\n", depends_on=first)
    far.enqueue_many([Queue.prepare_data(samples.write, (log, f"many-{number}\n")) for number in range(5)])
    far.enqueue(samples.fail_until, str(tmp_path / "tries"), 3, retry=Retry(max=2))
    far.enqueue(samples.write, log, "again\n", repeat=Repeat(times=2))
    later = far.enqueue_in(timedelta(hours=1), samples.add, 1)
    later.cancel()
    later.requeue()
    for number in range(30):
        far.enqueue(samples.write, log, f"{number}\n")
    assert len(queue) == 39
    SimpleWorker([far]).work(burst=True)
    wanted = ["first", "child", *(f"many-{number}" for number in range(5)), *["again"] * 3, *map(str, range(30))]
    assert sorted(lines(tmp_path / "log")) == sorted(wanted)
    assert len((tmp_path / "tries").read_text()) == 3


def test_sync_mode_and_the_rest(queue: Queue, lossy: redis.Redis, tmp_path: Path) -> None:
    sync = Queue("sync", connection=lossy, is_async=False)
    log = tmp_path / "log"
    for number in range(10):
        sync.enqueue(samples.write, str(log), f"{number}\n")
    assert lines(log) == [str(number) for number in range(10)]
    far = Queue("default", connection=lossy)
    job = far.enqueue(samples.add, 1, meta={"a": 1})
    job.description = "text"
    job.save()
    assert Job.fetch(job.id, connection=queue.connection).description == "text"
    suspend(lossy)
    assert is_suspended(lossy)
    resume(lossy)
    queue.store.workers.register(Registration("w1", ("default",), "h", 1))
    send_shutdown_command(lossy, "w1")
    assert [command for _, command in queue.store.workers.commands("w1")] == ["shutdown"]
    far.delete()
    assert far not in Queue.all(queue.connection)
