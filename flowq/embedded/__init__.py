"""The embedded server: a private Redis that starts when flowq needs it and stops when it is no longer used.

It owns one directory (`FLOWQ_HOME`, mode 0700) with the server's data, socket, logs and three lock files, and the processes that
belong to it. It must not know about jobs or other stored data.

Locks, not files with process ids, say which processes are alive, because the kernel releases a lock however its holder dies:

    users.lock    shared by every flowq process that uses the server; a process that gets it exclusively knows that no other uses it
    keeper.lock   held by the watchdog while it lives; also the start mutex: a process that finds it free locks it and passes the
                  locked descriptor to the watchdog that it starts, so that there is no gap
    alive.lock    inherited by the server, which never touches it; free means that no server process is left

`attach` takes `users.lock`, starts a watchdog if there is none, and waits until the server answers. The watchdog (`watchdog.py`)
starts the server, restarts it when it dies, and stops it after `users.lock` has been free for a while. A killed watchdog leaves a
shell that starts the next one (see `watchdog.Witness`), which adopts the running server or starts one.

Invariants, whichever processes are killed in any order: at most one watchdog and one server per directory; a server with users runs
or is being restarted; a server without users stops; data acknowledged more than a second ago is not lost (append-only file).

The watchdog loads the modules `directory`, `locks`, `patience`, `resp`, `process` and `watchdog`. They have no slow imports, because the first
command waits for the watchdog.
"""
