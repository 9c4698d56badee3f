"""Executors: engines that execute jobs elsewhere, for one worker. The driver is a process that stands where a fork server stands.

    supervisor ──control, lanes──> driver ──engine──> node ──control, lanes──> fork server ──fork──> horse
                                   this machine       another machine, or another process

    driver      the process: it answers the supervisor as a fork server does (`flowq.worker.ipc`), and speaks to nodes (`wire`)
    stand_in    one execution as the driver knows it: it takes the place of the horse in the lane
    engine      what an engine has to do, and what it may call
    cluster     the engine of clusters; `dask` and `ray` are their clients
    relay       the part of it on the machines of a cluster, called through `dask_node` and `ray_node`
    pipe        the engine whose nodes are behind the stdin and stdout of a command: sh, ssh, srun, kubectl run -i
    wire        the messages between driver and node, and their frames

A node (`flowq.worker.node`) is the program `python -m flowq.worker.node`: a supervisor without a store, which runs the same fork servers and
horses as any worker. It has no address of a server and no configuration; all that it knows comes through its stdin.

An execution
    1. The supervisor gives a lane its task, as it does with horses. The driver makes a token for it and lets the engine start it somewhere.
    2. A node that is asked to start a token answers `READY` with a nonce. An engine may ask as often as it likes, and may ask several nodes.
    3. The driver grants one nonce per token: `GRANT` carries task and secrets, which are nowhere else. All other nonces are refused.
    4. The node tells `BEGUN` when a horse has the task. The driver passes that on, and the limit `start_timeout` ends. From here on the node
       keeps the times of the job (timeout, grace), by its own clock.
    5. Output, outcome and end come back in their order. The driver writes the output into the job's pipes, one write after the other, and
       passes on the outcome behind the last of it.

Faults
    node lost           its granted executions are `FENCED`, as if this worker was lost with them: the store gives them to others when their
                        leases are over, by which time the node has killed them. Those that are not granted go back to the queue at once.
    node silent         it counts as lost when it has not answered for as long as its horses may live without a renewal.
    driver silent       the fork servers of a node kill their horses when no renewal comes (`LEASE`), also while the node itself is stopped.
    driver dies         the supervisor fences all its executions; a node ends with its stdin, and all below it.
    engine unreachable  the job goes back to its queue, uncharged, and the worker claims nothing for a while, up to a minute.
"""
