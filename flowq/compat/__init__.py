"""Third-party packages that are built on RQ run on flowq: `import rq` gives flowq's modules.

    import flowq.compat

    flowq.compat.install()      # before anything imports rq

`FLOWQ_COMPAT=rq` does the same for the commands of flowq, and for the processes in which workers execute jobs.

    installation  the decision: refuse, warn, install
    auto          installs when it is imported; fork servers preload it
    finder        answers for `rq` and `rq.*` on `sys.meta_path`
    modules       which module of flowq is which of RQ
    metadata      answers for the distribution `rq`
    additions/    names of RQ that flowq's own modules and classes lack
    rq/           modules of RQ that flowq lacks

Invariants
    * A module under both names is one object, so that a patch of either is seen under the other.
    * Nothing is added to flowq's classes before a module of RQ is imported that has them, and nothing that flowq has is replaced.
    * Names of Redis keys are texts under which nothing is stored; flowq's real keys never appear.
    * The real rq is never replaced once it was imported: there would be two queues in one process, each with half of the jobs.

`auto` and what it imports are light: each fork server loads them. The rest is loaded when user code imports it from rq.
"""

from flowq.compat.installation import install

__all__ = ["install"]
