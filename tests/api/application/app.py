"""A small web application that uses its queue and prints what it observes as JSON."""

import json
import os
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import tasks
from rq import Callback, Queue, RateLimit, Repeat, Retry, SimpleWorker, Webhook, Worker, cancel_job, requeue_job
from rq.command import (
    send_kill_horse_command,
    send_shutdown_command,
    send_stop_execution_command,
    send_stop_job_command,
)
from rq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchGroupError, NoSuchJobError
from rq.group import Group
from rq.job import Dependency, Job
from rq.rate_limit import RateLimitRegistry
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.suspension import is_suspended, resume, suspend
from settings import connection

seen = {}
queue = Queue(connection=connection, default_timeout="2m")
mails = Queue("mails", connection=connection)


def poll(job, *statuses, limit=30):
    deadline = time.monotonic() + limit
    while job.get_status() not in statuses:
        assert time.monotonic() < deadline, (job.id, str(job.get_status()), job.latest_result())
        time.sleep(0.02)
    return job


# before any worker
simple = queue.enqueue(tasks.resize, 3, height=4, job_id="resize-1", meta={"user": 7}, description="resize a picture")
front = queue.enqueue(tasks.resize, args=(1,), kwargs={"height": 1}, at_front=True)
load = queue.enqueue(tasks.load, "2026-01-31")
pdf = queue.enqueue(tasks.report, "2026-01-31", format="pdf", depends_on=load)
html = queue.enqueue(tasks.report, "2026-01-31", format="html", depends_on=[load, pdf])
seen["waiting"] = len(queue)
seen["order"] = [job.func_name for job in queue.jobs]
seen["deferred"] = len(queue.deferred_job_registry)
seen["position"] = queue.get_job_position(simple)
seen["status"] = simple.get_status() == "queued"
seen["found"] = queue.fetch_job("resize-1").id
seen["missing"] = queue.fetch_job("missing")
seen["no result yet"] = simple.return_value()
canceled = queue.enqueue(tasks.tick)
canceled.cancel()
seen["canceled"] = [canceled.is_canceled, canceled in queue.canceled_job_registry, len(queue)]
try:
    Job.fetch("missing", connection=connection)
except NoSuchJobError:
    seen["no such job"] = True
try:
    queue.enqueue(tasks.tick, job_id="resize-1", unique=True)
except DuplicateJobError:
    seen["taken"] = True
seen["an empty queue is true"] = bool(mails)
made = Job.create(tasks.resize, args=(7,), kwargs={"height": 2}, connection=connection, id="made", timeout="1m", meta={"a": 1})
made.save()
seen["made"] = [Job.exists("made", connection=connection), made.get_status() == "created", made.timeout, len(queue)]
queue.enqueue_job(Job.fetch("made", connection=connection), at_front=True)
called = queue.enqueue_call(tasks.echo, (1,), {"timeout": 2}, 90, description="called")
direct = queue.enqueue(tasks.echo, 1, timeout=2)
seen["timeouts"] = [called.timeout, direct.timeout, Job.fetch("made", connection=connection).timeout]
with connection.pipeline() as pipe:
    queue.enqueue_many([Queue.prepare_data(tasks.resize, (9,), job_id="piped")], pipeline=pipe)
    seen["not yet"] = Job.exists("piped", connection=connection)
    pipe.execute()
seen["part"] = [job.func_name for job in queue.get_jobs(0, 2)]
cancel_job(queue.enqueue(tasks.tick, job_id="never").id, connection=connection)
seen["canceled by id"] = "never" in CanceledJobRegistry(queue=queue)
queue.remove(queue.enqueue(tasks.tick))
many = queue.enqueue_many(
    [Queue.prepare_data(tasks.resize, (number, 2), job_id=f"many-{number}", timeout=5) for number in range(3)]
)

# groups and rate limits
group = Group.create(connection=connection, name="album")
pictures = group.enqueue_many(queue, [Queue.prepare_data(tasks.resize, (number, 3)) for number in range(4)])
seen["group"] = [group.name, sorted(job.id for job in group.get_jobs()) == sorted(job.id for job in pictures)]
seen["group of a job"] = {Job.fetch(job.id, connection=connection).group_id for job in pictures} == {"album"}
try:
    Group.fetch("missing", connection=connection)
except NoSuchGroupError:
    seen["no such group"] = True
short = Group.create(connection=connection, name="short")
for job in short.enqueue_many(mails, [Queue.prepare_data(tasks.tick)]):
    seen["groups"] = sorted(item.name for item in Group.all(connection=connection))
    job.delete()
seen["group without jobs"] = [item.name for item in Group.all(connection=connection)]
limit = RateLimit(key="thumbnails", concurrency=2)
limited = [queue.enqueue(tasks.resize, number, rate_limit=limit) for number in range(4)]
seen["limited"] = [str(job.get_status()).split(".")[-1].lower() for job in limited]
rates = RateLimitRegistry("thumbnails", connection)
seen["limited counts"] = [
    rates.get_allowed_job_count(),
    set(rates.get_rate_limited_job_ids()) == {job.id for job in limited[2:]},
]
limited[1].cancel()
seen["limited after a cancel"] = sorted(str(job.get_status()).split(".")[-1].lower() for job in limited)

worker = os.fork()
if worker == 0:
    Worker([queue, mails], connection=connection, name="the-worker").work(with_scheduler=True, logging_level="ERROR")
    os._exit(0)

# the happy path
poll(simple, "finished")
seen["result"] = [simple.return_value(), simple.latest_result().type.name, simple.latest_result().return_value]
again = Job.fetch("resize-1", connection=connection)
seen["fetched"] = [again.func_name, list(again.args), again.kwargs, again.description, again.origin, again.meta]
seen["times"] = again.created_at <= again.enqueued_at <= again.started_at <= again.ended_at
seen["chain"] = [poll(job, "finished").return_value() for job in (load, pdf, html)]
seen["many"] = [poll(job, "finished").return_value() for job in many]
seen["pictures"] = [poll(job, "finished").return_value() for job in pictures]
seen["limited results"] = [poll(job, "finished").return_value() for job in (limited[0], *limited[2:])]
seen["limits at the end"] = [rates.get_allowed_job_count(), rates.get_rate_limited_job_count()]
seen["group at the end"] = [len(Group.fetch("album", connection=connection).get_jobs())]
seen["fetch many"] = [job and job.id for job in Job.fetch_many(["many-1", "missing"], connection=connection)]
seen["finished registry"] = "resize-1" in FinishedJobRegistry("default", connection=connection)
seen["decorated"] = poll(tasks.send_mail.delay("ann", subject="hi"), "finished").return_value()
seen["coroutine"] = poll(queue.enqueue(tasks.fetch, 41), "finished").return_value()
seen["dotted name"] = poll(queue.enqueue("tasks.resize", 5), "finished").return_value()
seen["made result"] = poll(made, "finished").return_value()
seen["arguments"] = [poll(job, "finished").return_value() for job in (called, direct)]
seen["piped"] = poll(Job.fetch("piped", connection=connection), "finished").return_value()
seen["a method"] = poll(queue.enqueue(tasks.Scale(3).times, 4), "finished").return_value()
seen["who"] = poll(queue.enqueue(tasks.tick), "finished").latest_result().worker_name
seen["block"] = queue.enqueue(tasks.resize, 6).latest_result(timeout=20).return_value

# failures, retries, callbacks
bad = poll(queue.enqueue(tasks.broken, on_failure=Callback(tasks.failed)), "failed")
seen["failed"] = [bad.is_failed, bad.latest_result().type.name, "no such customer" in bad.latest_result().exc_string]
registry = FailedJobRegistry(queue=queue)
seen["failed registry"] = [len(registry), bad in registry, registry.get_job_ids() == [bad.id]]
seen["retried"] = poll(queue.enqueue(tasks.flaky, "retry", 3, retry=Retry(max=3)), "finished").return_value()
seen["retried later"] = poll(queue.enqueue(tasks.flaky, "later", 2, retry=Retry(max=1, interval=1)), "finished").return_value()
asked = poll(queue.enqueue(tasks.asks_again, 2), "failed")
seen["asked again"] = [result.type.name for result in asked.results()]
after = queue.enqueue(tasks.tick, depends_on=Dependency(bad, allow_failure=True))
seen["after a failure"] = poll(after, "finished").return_value()
good = queue.enqueue(tasks.resize, 2, on_success=tasks.succeeded)
seen["callback"] = poll(good, "finished").return_value()
seen["expires"] = registry.get_expiration_time(bad) > datetime.now(timezone.utc) + timedelta(days=360)
seen["its queue"] = registry.get_queue().name
registry.requeue(bad)
seen["requeued"] = poll(bad, "failed").is_failed

requeue_job(bad.id, connection=connection)
seen["requeued by id"] = poll(bad, "failed").is_failed
late = poll(queue.enqueue(tasks.sleep, 30, job_timeout=1), "failed")
seen["timed out"] = "timeout" in late.latest_result().exc_string
dead = poll(queue.enqueue(tasks.die), "failed")
seen["killed"] = dead.latest_result().type.name
second = queue.enqueue(tasks.tick, depends_on=queue.enqueue(tasks.tick, depends_on=load))
seen["a chain below a finished job"] = poll(second, "finished").return_value()
stopped = poll(queue.enqueue(tasks.sleep, 30, on_stopped=Callback(tasks.stopped), job_id="stop-me"), "started")
seen["running"] = [stopped in queue.started_job_registry, Job.fetch("stop-me", connection=connection).worker_name]
time.sleep(0.2)
send_stop_job_command(connection, "stop-me")
seen["stopped job"] = [poll(stopped, "stopped").is_stopped, stopped in registry]
killed = poll(queue.enqueue(tasks.sleep, 30), "started")
time.sleep(0.2)
send_kill_horse_command(connection, "the-worker")
seen["horse killed"] = poll(killed, "failed").is_failed
suspend(connection)
seen["suspended"] = bool(is_suspended(connection))
resume(connection)
seen["resumed"] = [bool(is_suspended(connection)), poll(queue.enqueue(tasks.tick), "finished").return_value()]

# one execution, stopped
endless = poll(queue.enqueue(tasks.endless), "started")
deadline = time.monotonic() + 20
while not endless.get_executions() and time.monotonic() < deadline:
    time.sleep(0.02)
(execution,) = endless.get_executions()
seen["execution"] = [execution.job_id == endless.id, execution.worker_name, execution.job.id == endless.id]
send_stop_execution_command(connection, endless.id, execution.id)
seen["stopped"] = poll(endless, "failed", "stopped") is endless and not endless.get_executions()

# webhooks
told = []


class Told(BaseHTTPRequestHandler):
    def do_POST(self):
        told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Told)
threading.Thread(target=server.serve_forever, daemon=True).start()
hooks = [Webhook(f"http://127.0.0.1:{server.server_port}", status, method="POST") for status in ("finished", "failed")]
poll(queue.enqueue(tasks.resize, 1, webhooks=hooks, job_id="told-1"), "finished")
poll(queue.enqueue(tasks.broken, webhooks=hooks, job_id="told-2"), "failed")
deadline = time.monotonic() + 20
while len(told) < 2 and time.monotonic() < deadline:
    time.sleep(0.02)
told.sort(key=lambda item: item["job_id"])
seen["told"] = [(item["job_id"], item["func_name"], item["status"], sorted(item)) for item in told]
seen["told why"] = "no such customer" in told[1]["exc_info"]

# later
soon = queue.enqueue_in(timedelta(seconds=1), tasks.tick)
at = queue.enqueue_at(datetime.now(timezone.utc) + timedelta(seconds=1), tasks.tick)
seen["scheduled"] = [soon.is_scheduled, soon in queue.scheduled_job_registry, len(queue.scheduled_job_registry)]
seen["ticks"] = [poll(job, "finished").return_value() for job in (soon, at)]
repeated = queue.enqueue(tasks.tick, repeat=Repeat(times=2))
deadline = time.monotonic() + 20
while len(repeated.results()) < 3 and time.monotonic() < deadline:
    time.sleep(0.02)
seen["repeated"] = [result.type.name for result in repeated.results()]

# the worker, and the end
seen["workers"] = [(item.name, item.queue_names()) for item in Worker.all(connection=connection)]
seen["counted"] = [Worker.count(connection=connection), Worker.count(queue=mails)]
send_shutdown_command(connection, "the-worker")
seen["worker's exit"] = os.waitpid(worker, 0)[1]
left = queue.enqueue(tasks.tick)
try:
    send_stop_job_command(connection, left.id)
except InvalidJobOperation:
    seen["nothing to stop"] = True
queue.empty()
seen["emptied"] = [len(queue), Job.exists(left.id, connection=connection)]
waits = queue.enqueue(tasks.tick, depends_on=queue.enqueue(tasks.tick, job_id="first"))
Job.fetch("first", connection=connection).cancel(enqueue_dependents=True)
handled = []


def handler(job, *info):
    handled.append(job.id)


other = queue.enqueue(tasks.broken)
simple_worker = SimpleWorker([queue], connection=connection, exception_handlers=[handler])
simple_worker.work(burst=True, logging_level="ERROR")
seen["in this process"] = [handled == [other.id], waits.get_status() == "finished"]
json_queue = Queue("json", connection=connection, serializer="json")
json_job = json_queue.enqueue(tasks.echo, {"a": [1]}, 2)
SimpleWorker([json_queue], connection=connection, serializer="json").work(burst=True, logging_level="ERROR")
seen["json"] = json_job.return_value()
other.delete()
seen["deleted"] = Job.exists(other.id, connection=connection)
seen["queues"] = sorted(item.name for item in Queue.all(connection=connection))
sync = Queue("sync", is_async=False, connection=connection)
seen["sync"] = [sync.enqueue(tasks.resize, 3, 5).return_value(), sync.enqueue(tasks.resize, 1).get_status() == "finished"]
seen["log"] = tasks.LOG.read_text().splitlines()
print(json.dumps(seen, default=str))
