"""`flowq.compat`: what says `import rq` gets flowq, in the process that asks for it and in the processes of its jobs.

The development environment has the real rq, so each process here shows that flowq takes its place, or that it refuses to.
"""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import redis

from flowq import Job, Queue, SimpleWorker
from tests.api.test_worker_command import Start, ended, start

__all__ = ["start"]  # the fixture

ROOT = Path(__file__).parents[2]
JOBS = """
import rq
from rq.job import Job

def whose():
    job = rq.get_current_job()
    return [rq.Queue.__module__, rq.VERSION, isinstance(job, Job), job.key == "rq:job:" + job.id]

def plain():
    from rq import Queue
    return Queue.__module__
"""


def python(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Execute a program in a fresh interpreter that reports each warning."""
    return subprocess.run(
        [sys.executable, "-W", "always", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def printed(code: str, **environment: str) -> str:
    result = python(code, **environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


INSTALL = "import flowq.compat; flowq.compat.install()\n"


def test_a_module_is_one_object_under_both_names() -> None:
    code = """
import importlib, rq, rq.job, flowq.job, flowq.registry
from rq.registry import FailedJobRegistry
from rq.worker import BaseWorker, HerokuWorker, Worker
names = ["callbacks", "command", "cron", "decorators", "defaults", "exceptions", "executions", "group", "queue", "repeat", "results",
         "serializers", "suspension", "timeouts", "webhook", "worker_pool", "worker.worker_classes"]
same = [importlib.import_module("rq." + name) is importlib.import_module("flowq." + name) for name in names]
rq.job.Job.perform = "patched"
print(all(same), rq.job is flowq.job, FailedJobRegistry is flowq.registry.FailedJobRegistry, flowq.Job.perform,
      BaseWorker is flowq.Worker, rq.Queue is flowq.Queue, rq.utils.as_text(b"x"))
"""
    assert printed(INSTALL + code) == "True True True patched True True x"


def test_flowqs_own_modules_are_not_modules_of_rq() -> None:
    code = """
for name in ("flows", "states", "ids", "compat", "nothing", "worker.horse"):
    try:
        __import__("rq." + name)
    except ModuleNotFoundError as error:
        print(error.name)
import rq
print(hasattr(rq, "flows"))
"""
    missing = ["rq.flows", "rq.states", "rq.ids", "rq.compat", "rq.nothing", "rq.worker.horse"]
    assert printed(INSTALL + code).split() == [*missing, "False"]


def test_the_version_is_that_of_rq_for_import_and_metadata() -> None:
    code = """
import importlib.metadata as metadata, rq, rq.version
print(rq.VERSION, rq.__version__, rq.version.VERSION, metadata.version("rq"), metadata.version("redis") == metadata.version("rq"))
"""
    assert printed(INSTALL + code) == "3.0.0 3.0.0 3.0.0 3.0.0 False"


def test_the_logger_of_rq_gets_what_workers_log() -> None:
    code = """
import logging, sys
logger = logging.getLogger("rq.worker")
logger.addHandler(logging.StreamHandler(sys.stdout))
logger.setLevel("INFO")
logging.getLogger("flowq.worker").info("worker w listens")
"""
    assert printed(INSTALL + code) == "worker w listens"


def test_it_is_refused_where_rq_was_imported() -> None:
    result = python("import rq\nimport flowq.compat\ntry:\n    flowq.compat.install()\nexcept ValueError:\n    raise\n")
    assert result.returncode != 0
    assert "UsageError: rq has been imported already, from " in result.stderr
    assert "call flowq.compat.install() before anything imports rq, or uninstall rq" in result.stderr


def test_one_warning_where_rq_is_only_installed() -> None:
    result = python(INSTALL + "flowq.compat.install()\nimport rq\nprint(rq.Queue.__module__)")
    assert result.stdout.strip() == "flowq.queue"
    assert result.stderr.count("RuntimeWarning: rq is installed too (") == 1
    assert "<string>:1" in result.stderr  # the line that installs


def test_no_warning_where_rq_is_not_installed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path[:] = [entry for entry in sys.path if 'site-packages' not in entry]\n" + INSTALL + "print('quiet')"
    )
    result = python(code)
    assert (result.stdout.strip(), result.stderr) == ("quiet", "")


def test_it_is_light() -> None:
    """Every fork server loads it: only what user code imports from rq loads the rest."""
    code = "import logging, sys; before = set(sys.modules); import flowq.compat.auto; print(*sorted(set(sys.modules) - before))"
    loaded = printed(code).split()
    assert not {"redis", "typing", "dataclasses", "pathlib", "flowq.job", "importlib.metadata"} & set(loaded)


@pytest.mark.parametrize("function", ["whose", "plain"])
def test_a_worker_command_gives_its_jobs_flowq(start: Start, queue: Queue, tmp_path: Path, function: str) -> None:
    (tmp_path / "their_jobs.py").write_text(JOBS)
    job = queue.enqueue(f"their_jobs.{function}")
    _, error = ended(start("-b", FLOWQ_COMPAT="rq"))
    assert job.return_value() == (["flowq.queue", "3.0.0", True, True] if function == "whose" else "flowq.queue")
    assert error.count("warning: rq is installed too") == 1


def test_a_worker_command_without_it_imports_the_real_rq(start: Start, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "their_jobs.py").write_text(JOBS)
    job = queue.enqueue("their_jobs.plain")
    ended(start("-b"))
    assert job.return_value() == "rq.queue"


def test_classes_of_a_worker_command_may_import_rq(start: Start, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "their_jobs.py").write_text(JOBS)
    (tmp_path / "theirs.py").write_text("from rq.worker import SimpleWorker\n\nclass Theirs(SimpleWorker):\n    pass\n")
    job = queue.enqueue("their_jobs.plain")
    ended(start("-b", "-w", "theirs.Theirs", FLOWQ_COMPAT="rq"))
    assert job.return_value() == "flowq.queue"


HOOK = """
import importlib, sys

class Hook:
    # As wrapt's: in front of the other finders, which it asks; it tells the hook when the module was loaded.
    asking = False

    def find_spec(self, name, path=None, target=None):
        if name != "rq" or self.asking:
            return None
        self.asking = True
        spec = importlib.util.find_spec(name)
        self.load, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec):
        return self.load.create_module(spec)

    def exec_module(self, module):
        self.load.exec_module(module)
        patch(module)

def patch(module):
    original = module.worker.Worker.perform_job

    def traced(self, job, queue, *arguments):
        job.meta["traced by"] = module.__name__
        job.save_meta()
        return original(self, job, queue, *arguments)

    module.worker.Worker.perform_job = traced

import importlib.util
sys.meta_path.insert(0, Hook())
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_hooks_that_wait_for_the_import_of_rq_get_a_module_of_that_name(when: str) -> None:
    code = [HOOK, INSTALL] if when == "before" else [INSTALL, HOOK]
    code += ["import rq.worker, flowq.worker; print(rq.worker.Worker.perform_job.__name__, rq.worker is flowq.worker)"]
    assert printed("\n".join(code)) == "traced True"


@pytest.mark.parametrize("kind", ["Worker", "SimpleWorker"])
def test_a_preloaded_hook_patches_before_the_jobs(start: Start, queue: Queue, tmp_path: Path, kind: str) -> None:
    """No job imports rq, but a worker of RQ would have."""
    (tmp_path / "their_hook.py").write_text(HOOK)
    job = queue.enqueue("builtins.abs", -1)
    own = () if kind == "Worker" else ("-w", f"flowq.worker.{kind}")
    ended(start("-b", "--preload", "their_hook", *own, FLOWQ_COMPAT="rq"))
    assert (job.return_value(), job.get_meta()) == (1, {"traced by": "rq"})


def test_another_value_is_refused(start: Start) -> None:
    _, error = ended(start("-b", FLOWQ_COMPAT="celery"), code=2)
    assert error == 'error: FLOWQ_COMPAT=celery: expected "rq", the only package that flowq stands in for\n'


@pytest.mark.parametrize("kind", ["Worker", "SpawnWorker", "SimpleWorker"])
def test_workers_of_a_program_give_their_jobs_flowq(queue: Queue, connection: redis.Redis, tmp_path: Path, kind: str) -> None:
    (tmp_path / "their_jobs.py").write_text(JOBS)
    job = queue.enqueue("their_jobs.whose")
    path = connection.connection_pool.connection_kwargs["path"]
    code = f"import redis\nfrom rq import Queue, {kind}\nconnection = redis.Redis(unix_socket_path={path!r})\n"
    code += f"{kind}([Queue(connection=connection)]).work(burst=True)"
    printed(INSTALL + code, PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert job.return_value() == ["flowq.queue", "3.0.0", True, True]


def test_names_of_keys_lead_to_nothing_that_is_stored(queue: Queue, connection: redis.Redis) -> None:
    path = connection.connection_pool.connection_kwargs["path"]
    code = f"""
import redis
from rq import Queue, Worker
connection = redis.Redis(unix_socket_path={path!r})
queue = Queue(connection=connection)
job = queue.enqueue("json.dumps", 1)
worker = Worker([queue], connection=connection)
names = [queue.key, job.key, queue.failed_job_registry.key, worker.key, queue.redis_queues_keys]
print(*names, connection.exists(*names), Queue.from_queue_key(queue.key, connection=connection).job_ids == [job.id])
"""
    *names, stored, found = printed(INSTALL + code).split()
    assert (stored, found) == ("0", "True")
    assert all(name.startswith("rq:") for name in names)


def test_a_worker_is_driven_by_hand(queue: Queue, connection: redis.Redis) -> None:
    path = connection.connection_pool.connection_kwargs["path"]
    code = f"""
import redis
from rq import Queue, Worker
connection = redis.Redis(unix_socket_path={path!r})
queue = Queue(connection=connection)
good, bad = queue.enqueue("operator.add", 1, 2), queue.enqueue("operator.truediv", 1, 0)
worker = Worker([queue], name="w", connection=connection)
worker.register_birth()
for job in (good, bad):
    worker.execute_job(job, queue)
print(Worker.find_by_key(worker.key, connection).name, good.return_value(), bad.get_status(), "ZeroDivisionError" in bad.exc_info)
worker.register_death()
print(Worker.count(connection))
"""
    assert printed(INSTALL + code).split() == ["w", "3", "failed", "True", "0"]


def test_the_helpers_that_packages_take(queue: Queue) -> None:
    utils = import_module("flowq.compat.rq.utils")  # a `from` import asks the package, which asks rq
    assert [utils.as_text("é"), utils.as_text("é".encode())] == ["é", "é"]
    with pytest.raises(ValueError, match="found int"):
        utils.as_text(1)
    assert utils.decode_redis_hash({b"a": b"1"}) == {"a": b"1"}
    assert utils.decode_redis_hash({b"a": b"1", "b": "2"}, decode_values=True) == {"a": "1", "b": "2"}
    assert [utils.safe_json_dumps([1]), utils.safe_json_dumps(b"")] == ["[1]", "<not JSON serializable>"]
    assert utils.get_version(queue.connection) >= (7, 0, 0)
    moment = utils.now().replace(microsecond=5)
    assert utils.utcparse(utils.utcformat(moment)) == utils.str_to_date(utils.utcformat(moment).encode()) == moment
    assert utils.utcparse("2024-01-02T03:04:05Z").second == 5
    with pytest.raises(ValueError, match="isoformat"):
        utils.str_to_date("")
    assert abs(utils.current_timestamp() - moment.timestamp()) < 60
    assert [utils.parse_timeout(value) for value in (None, 3, "1m", "1h30m", -1)] == [None, 3, 60, 5400, -1]
    assert utils.import_attribute("os.path.join") is os.path.join
    assert utils.import_attribute("len") is len
    with pytest.raises(ValueError, match="Invalid attribute name"):
        utils.import_attribute("no.such")
    assert utils.import_worker_class("flowq.SimpleWorker") is SimpleWorker
    with pytest.raises(ValueError, match="expected a subclass of"):
        utils.import_job_class("flowq.Queue")
    assert utils.backend_class(queue, "job_class") is Job
    assert utils.backend_class(queue, "job_class", "flowq.SimpleWorker") is SimpleWorker
    assert utils.get_call_string("f", [1, "a"], {"b": 2}) == "f(1, 'a', b=2)"
    assert utils.get_call_string(None, (), {}) is None
    job = Job.create("len")
    assert [utils.ensure_job_list(value) for value in ("a", job, ["a", job])] == [["a"], [job], ["a", job]]
    assert utils.parse_names(["a", queue]) == ["a", queue.name]
    assert utils.get_connection_from_queues(["a", queue]) is queue.connection
    assert utils.get_connection_from_queues(["a"]) is None
