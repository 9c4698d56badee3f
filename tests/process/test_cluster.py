"""flowq on a real cluster: finding the node of a namespace, also when it moves while workers run."""

import re
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from flowq import Queue
from flowq.connections.clients import open_client, open_store
from flowq.exceptions import ConfigError, ServerError, ServerUnavailableError
from flowq.states import JobStatus
from flowq.store import Store
from tests.support.cluster import Cluster, running_cluster, slot_of
from tests.support.invariants import check
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start
from tests.upgrade.copies import Client

NAMESPACE = "flowq"
ELSEWHERE = "other"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as made:
        yield made


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    opened = open_store(cluster.url)
    yield opened
    check(opened)
    opened.client.flushdb()
    opened.close()


def chain(tmp_path: Path, length: int) -> tuple[Path, str]:
    """Return a file to which each job of a chain appends a line, and the flow."""
    out = tmp_path / "lines"
    out.touch()
    return out, f"echo $FLOWQ_JOB_ID >> {out}"


def has(out: Path, lines: int) -> bool:
    """Return whether so many jobs have written their line."""
    return len(out.read_text().splitlines()) >= lines


def answers(store: Store) -> bool:
    """Return whether a read succeeds; a read is not repeated after a lost connection."""
    try:
        return store.now_ms() > 0
    except ServerUnavailableError:
        return False


def test_each_namespace_is_found_on_its_own_node(cluster: Cluster) -> None:
    assert slot_of(NAMESPACE) < 8192 <= slot_of(ELSEWHERE)
    with open_store(cluster.url, NAMESPACE).client as one, open_store(cluster.url, ELSEWHERE).client as two:
        assert one.info("server")["process_id"] == cluster.nodes[0].pid
        assert two.info("server")["process_id"] == cluster.nodes[1].pid


def test_a_flow_runs(store: Store, cluster: Cluster, tmp_path: Path) -> None:
    jobs = [node(f"j{number}", script("true")) for number in range(5)]
    plan = flow(*jobs, edges={f"j{number}": {f"j{number - 1}": "success"} for number in range(1, 5)})
    with WorkerProcess(cluster.url, "--slots", "2", namespace=NAMESPACE):
        run = start(store, plan, tmp_path)
        assert {record.status for record in ended(store, run)} == {JobStatus.FINISHED}


def test_a_plain_queue_on_clients_of_users(store: Store, cluster: Cluster) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=cluster.ports[1], decode_responses=True) as client:
        queue = Queue(connection=client)
        job = queue.enqueue("os.getpid")
        assert Queue(connection=store).job_ids == [job.id]
        assert queue.store.session.translated.server == "the server"
        queue.store.close()


@pytest.fixture
def movable(cluster: Cluster) -> None:
    """Skip a test whose slot has to move in one step where the servers cannot do that."""
    version = str(cluster.clients[0].info("server").get("valkey_version", "none"))
    if version == "none" or int(version.partition(".")[0]) < 9:
        pytest.skip("only Valkey 9 and newer move a slot in one step")


@pytest.mark.usefixtures("movable")
def test_the_slot_moves_while_a_worker_runs(store: Store, cluster: Cluster, tmp_path: Path) -> None:
    out, text = chain(tmp_path, 40)
    jobs = [node(f"j{number}", script(text)) for number in range(40)]
    plan = flow(*jobs, edges={f"j{number}": {f"j{number - 1}": "success"} for number in range(1, 40)})
    cluster.clients[1].function_flush("SYNC")  # as on a node that flowq has not been on
    with WorkerProcess(cluster.url, "--slots", "2", namespace=NAMESPACE):
        run = start(store, plan, tmp_path)
        until(lambda: len(out.read_text().splitlines()) >= 5, message="the first jobs")
        cluster.move(NAMESPACE, 1)
        until(lambda: len(out.read_text().splitlines()) >= 20, message="jobs after the move")
        cluster.move(NAMESPACE, 0)
        assert {record.status for record in ended(store, run)} == {JobStatus.FINISHED}
    lines = out.read_text().splitlines()
    assert lines == [f"{run}-{number}" for number in range(40)], "each job once, in order"


@pytest.mark.usefixtures("movable")
def test_the_slot_moves_while_data_of_an_earlier_schema_is_migrated(store: Store, cluster: Cluster) -> None:
    for number in range(1000):
        store.client.hset(f"{{flowq}}:job:{number}", mapping={"status": "created", "origin": "default"})
    store.client.hset("{flowq}:meta", "schema", "1")
    one = Client(store.client, NAMESPACE, 100)
    assert [one.step() for _ in range(3)] == [True] * 3
    assert 0 < sum(store.client.hexists(f"{{flowq}}:job:{number}", "queue") for number in range(1000)) < 1000
    cluster.move(NAMESPACE, 1)
    assert one.step(), "the migration starts again on the other node"
    assert open_store(cluster.url).jobs.get_many(map(str, range(1000))).count(None) == 0
    assert all(store.client.hexists(f"{{flowq}}:job:{number}", "queue") for number in range(1000))
    cluster.move(NAMESPACE, 0)


def test_a_replica_takes_over_while_a_worker_runs(tmp_path: Path) -> None:
    with running_cluster() as cluster:
        store = open_store(cluster.url)
        out, text = chain(tmp_path, 30)
        jobs = [node(f"j{number}", script(text)) for number in range(30)]
        plan = flow(*jobs, edges={f"j{number}": {f"j{number - 1}": "success"} for number in range(1, 30)})
        with WorkerProcess(cluster.url, "--slots", "2", namespace=NAMESPACE) as worker:
            run = start(store, plan, tmp_path)
            until(lambda: len(out.read_text().splitlines()) >= 5, message="the first jobs")
            store.client.execute_command("WAIT", 1, 5000)  # type: ignore[no-untyped-call]
            cluster.nodes[0].kill9()
            cluster.ask(2, "FAILOVER", "TAKEOVER")
            until(lambda: cluster.owner(NAMESPACE) == 2, 20, "everybody to know the new primary")
            until(lambda: answers(store), 20, "the new primary to answer")
            assert {record.status for record in ended(store, run)} == {JobStatus.FINISHED}
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        assert set(out.read_text().splitlines()) == {f"{run}-{number}" for number in range(30)}
        check(store)
        store.close()


def test_primary_and_replica_change_places_while_a_worker_runs(tmp_path: Path) -> None:
    """An ordered fail-over loses nothing, so each job is executed once: there and back, without the functions on the new primary."""
    with running_cluster() as cluster:
        store = open_store(cluster.url)
        out, text = chain(tmp_path, 30)
        jobs = [node(f"j{number}", script(text)) for number in range(30)]
        plan = flow(*jobs, edges={f"j{number}": {f"j{number - 1}": "success"} for number in range(1, 30)})
        with WorkerProcess(cluster.url, "--slots", "2", namespace=NAMESPACE) as worker:
            run = start(store, plan, tmp_path)
            for lines, new in ((5, 2), (15, 0)):
                until(partial(has, out, lines), message="more jobs")
                cluster.fail_over(new)
                cluster.clients[new].function_flush("SYNC")
                until(lambda: answers(store), 20, "the new primary to answer")
            assert {record.status for record in ended(store, run)} == {JobStatus.FINISHED}
            worker.signal(signal.SIGTERM)
            assert worker.wait() == 0
        assert out.read_text().splitlines() == [f"{run}-{number}" for number in range(30)], "each job once, in order"
        check(store)
        store.close()


def test_missing_nodes(cluster: Cluster) -> None:
    with open_client(f"redis+cluster://127.0.0.1:1,127.0.0.1:{cluster.ports[0]}") as client:
        assert client.info("server")["process_id"] == cluster.nodes[0].pid
    with pytest.raises(ServerUnavailableError, match=r"redis\+cluster://127\.0\.0\.1:1 cannot be reached: connection refused"):
        open_client("redis+cluster://127.0.0.1:1")


def test_a_node_addressed_as_a_single_server_is_refused_as_a_cluster(cluster: Cluster) -> None:
    with pytest.raises(ServerError, match=re.escape("is one node of a cluster: use a redis+cluster:// URL")):
        open_store(f"redis://127.0.0.1:{cluster.ports[1]}")


def test_a_single_server_addressed_as_a_cluster() -> None:
    from tests.support.ports import free_ports
    from tests.support.server import PrivateServer

    (port,) = free_ports(1)
    alone = PrivateServer().start("--port", str(port))
    try:
        with pytest.raises(ServerError, match="cluster support disabled"):
            open_client(f"redis+cluster://127.0.0.1:{port}")
    finally:
        alone.stop()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+cluster://", "names no node, expected redis+cluster://host:port,host:port"),
        ("redis+cluster://host:1/2", "a cluster has no databases but 0: use a namespace of your own"),
        ("redis+cluster://host:1?db=2", "a cluster has no databases but 0"),
        ("redis+cluster://u:geheim@a:1,b:x", "the port must be a number"),
    ],
)
def test_invalid_addresses(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        open_client(url)
    assert "geheim" not in str(caught.value)
