"""The embedded server: a private Redis that appears when flowq needs one and goes when it is not used any more.

What it owns: one directory (`FLOWQ_HOME`, mode 0700) with the server's data, its socket, its logs and three lock files, and the
processes that belong to it. What it must not know: what is stored, or that there are jobs at all.

Who is there is told by locks, not by files with process ids, because the kernel drops a lock with its holder, however that dies:

    users.lock    shared by every flowq process that uses the server; the process that gets it exclusively knows that no other does
    keeper.lock   held by the watchdog for as long as it lives; it is also the start mutex, because the process that finds it free locks it
                  first and hands the locked descriptor to the watchdog it starts: there is no moment in between
    alive.lock    inherited and never touched by the server itself; free means that no server process is left

`attach` takes `users.lock`, sees to it that there is a watchdog, and waits until the server answers. The watchdog (`watchdog.py`) starts
the server, starts it again when it dies, and stops it once `users.lock` has been free for a while. A watchdog that was killed leaves
a shell behind that starts the next one (see `watchdog.Witness`); that one finds the server running and adopts it, or starts it.

Invariants, whatever is killed in whatever order: at most one watchdog and one server per directory; a server with users runs, or is
being restarted; a server without users ends; nothing that was acknowledged more than a second ago is lost (the append-only file).

The watchdog loads the modules `directory`, `locks`, `resp`, `process` and `watchdog`. They import nothing that is slow to import, because
the first command of the day waits for the watchdog.
"""
