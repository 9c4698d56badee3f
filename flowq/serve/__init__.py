"""`flowq serve`: one command that keeps the flows of a directory running by themselves.

    child     one process below it, replaced when it dies
    tree      all of them: starts, ends, signals
    service   which they are, and with which options
    http      the page's server, one of the children

The parent has no code of users and no connection to the store, so it has little to fail with. Its children are the ordinary programs
(a scheduler, a worker, the page), each of which may be killed at any time. All hold one end of a pipe, the lifeline: when the
parent ends, even by SIGKILL, they see it close and stop. Against the embedded server the parent holds the server open.
"""
