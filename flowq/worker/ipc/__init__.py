"""Communication between the processes of a worker: the channel, its messages, and calls to the kernel.

Horses and fork servers import this package. This module imports nothing.

The protocol
    Two kinds of stream sockets, `channel.Channel` at both ends: one control channel between supervisor and fork server, and the streams of
    lanes, which the supervisor makes and shares with the fork server. A frame is length, number of descriptors and a value in `marshal` form;
    an invalid frame ends the channel. The end of a channel is a message too: each side treats it as the other's death.

Control channel (constants of `channel`; `number` is that of a lane, chosen by the supervisor and never used again)
    supervisor -> fork server
        {"path": […], "preload": […], "unset": [variables], "warm_after": s}   the greeting, first and once; not sent to a clone, which has all that by itself
                                        + standard error, for an interpreter that a flow names
        (LANE, number) + socket         make a lane of the socket, and fork a horse into it; answered by HORSE or NO_FORK, in the order of the requests
        (KILL, number, signal)          signal the process group of the horse in that lane; without one, nothing happens
        (LEASE, seconds, patience)      kill all horses after that time, unless another LEASE comes before; a supervisor that runs has `patience` more
        (WARM, module)                  import it if a probe shows no harm; answered by WARMED or COLD, later
    fork server -> supervisor
        (HORSE, number, pid)            the first horse waits for its task in the lane
        (NO_FORK, number, why)          there is no lane: no process or no descriptor was left
        (FENCED, number)                the horse was killed because its lease has run out; its EXITED follows
        (ENDED, number, code, written, left)
                                        the command that the horse has become is gone with all it started; what it has written to $FLOWQ_OUTPUT, bytes, or
                                        a text that says why that cannot be read; what it had left running, in words. Also sent for other horses that
                                        have left files, of which it says nothing. Its EXITED follows
        (READS, number, pid)            in place of ENDED, of one that has written much and exited with 0: this process is the horse in the lane now, and tells
                                        the outcome there, because to read it would hold up the supervisor or the fork server
        (EXITED, number, code, successor, usage?)
                                        horse and all it started are gone; code as of `waitstatus_to_exitcode`; usage, which may be there if code
                                        is not 0: the values of `resource.struct_rusage`. Successor: pid of the next horse, which waits for its task in
                                        the lane; 0 if the lane is closed, and this is the last word about it
        (WARMED, module, stamps)        imported; `stamps` are time and size of the files that this server holds imported
        (COLD, module, why)             not imported

Lane: a stream that horse after horse reads its task from, each one
    supervisor -> horse     (turn, task, secrets) + two pipes   once: stdout and stderr; dicts as of `messages`; `turn` counts the lane's horses from 1
                            short form + two pipes              in its place, for calls without rare options and secrets, but not to drivers (`short_form`)
    horse -> supervisor     {"phase": seconds, "so_far": …} any number: the function has ended, a callback goes on for so long at most (None:
                                                            no longer than before); `so_far` is the outcome of a failure
                            {"executes": True}              the horse becomes a command now: ENDED has its end, unless an outcome says that it could not, or comes from one
                                                            that READS
                            outcome                         at most once for each task, or `bytes`: it has finished with this result; then the horse exits. With `looks` it looks first whether
                                                            the job has left anything behind (`horse.batch`), and tells
                            {"stays": bool}                 once, after that: it waits for another task under the same turn, until the supervisor closes the
                                                            lane; or it exits
    Only the process that was forked as the horse writes here. An exit without an outcome is a failure; of `so_far`, if that was said.
    Every task, and every message to a fork server, comes with SIGCONT for the fork server, because a job can stop its parent.
    A supervisor reads a lane to its end before it believes an EXITED.

The next job of a lane must meet nothing of the former one
    * A task is sent only to a horse that is known. One that reads the task of another turn (its predecessor died before it read it) executes nothing.
    * The fork server forks the next horse only after exit code 0, or the end of a command, when all that the former one started has ended, and where the kernel tells of
      orphans (Linux). A horse that has had no task exits with another code, also when it finds the lane closed.
    * The supervisor uses a lane again only if it has sent no signal to the former horse, and if nothing came behind its outcome. It closes the
      others, and makes new ones as jobs want them. The slot of a job that has left processes takes the next job when they are gone.
    * A horse that stays gets only tasks with `batch` of one group (`supervisor.fork_servers.lane`), and none after a signal.
    * Scratch directory and all state of the process are of one job. Pipes are as well, unless all processes of the former job have ended, the pipes
      are empty, and size, flags, owner and mode are as they were when they were made (`supervisor.output.pipes`). A horse has the stream under the number of the control channel, and
      the other lanes' streams are closed in it.

Deadlines (s)
    of a slot (`supervisor.slot`)
        limit               of a fork server (below) from LANE to HORSE; then it is killed
        _BEGIN_LIMIT 10     from sending the task until the horse has read it, which the kernel tells; then the horse is killed
        timeout + grace     from then on: SIGTERM, after another grace SIGKILL (commands: at the timeout itself). Each phase restarts it
    of a horse that ends (`supervisor.departure`)
        _SOON_LIMIT 0.1     from the outcome to EXITED; then another lane is made for the next job
        EXIT_LIMIT 5        from the outcome to EXITED, or to `stays`; then the horse is killed
        _LOOK 0.25          from SIGKILL until the fork server has read it, which the kernel tells; then the supervisor kills in its place
        _ANSWER_LIMIT 5     from SIGKILL to EXITED; then the fork server is killed, with all its horses. At once if the worker stops
    of a client of a fork server (`supervisor.fork_servers.client`)
        _TELL_LIMIT 2       from the end of a command, which the kernel tells, to ENDED, if the server reads no LEASE; then the supervisor kills what
                            the command has left, and tells that it was killed (`supervisor.fork_servers.lane`)
        _START_LIMIT 60     from its start to its first HORSE, with the imports of the greeting
        _FORK_LIMIT 10      from LANE to each later HORSE
        _CLOSE_LIMIT 0.5    from closing the control channel to the server's end, in which it kills and sweeps; then it is killed
    of a fork server
        LEASE               `SELF_FENCE` of a lease, renewed while the supervisor runs (`supervisor.fork_servers.pool`); then all horses are killed (`fork_server.fence`)
        _SWEEP_LIMIT 2      what does not die of SIGKILL within it hangs in the kernel: EXITED is sent all the same (`fork_server.children`)
        _DEADLINE 5         for a probe of a module (`fork_server.preload`); then it is killed, and the module stays cold
"""
