"""The rights that a user of the server needs (ACL), by what its processes do.

The commands are named one by one. A script's commands are checked against the rights of the user who calls it: so a user who may start jobs
may also write their keys, and rights keep users apart from other keys and from the server's operation, not from each other's jobs.
"""

from enum import StrEnum
from typing import Final

from flowq.store.schema.keys import Keys


class ServerRole(StrEnum):
    """What the processes of a user of the server do."""

    WORKER = "worker"
    SUBMITTER = "submitter"
    VIEWER = "viewer"


_CONNECTION: Final = """
    ping select client|setname client|setinfo client|id readonly cluster|slots cluster|nodes cluster|shards cluster|keyslot command
    """
_READS: Final = """
    exists time
    get getrange mget hget hmget hgetall hkeys hlen hvals hexists lindex llen lpos lrange smembers scard sismember
    zcard zcount zmscore zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebyscore zscore
    xinfo|stream xlen xrange xread xrevrange pttl
    """
_WRITES: Final = """
    set append del unlink rename persist pexpire pexpireat
    hdel hincrby hset hsetnx blpop linsert lpop lpush lrem lset ltrim rpush sadd srem
    xadd xdel xtrim zadd zpopmin zrem zremrangebyrank zremrangebyscore
    """
_CALLS: Final = "eval evalsha fcall"
_UPKEEP: Final = "function|load info scan"  # the library of transitions, checks of the server, migrations

_COMMANDS: Final = {
    ServerRole.WORKER: (_CONNECTION, _READS, _CALLS, _WRITES, _UPKEEP),
    ServerRole.SUBMITTER: (_CONNECTION, _READS, _CALLS, _WRITES),
    ServerRole.VIEWER: (_CONNECTION, _READS, _CALLS),
}


def commands(role: ServerRole) -> list[str]:
    """Return the commands that a role needs, with `|` before a subcommand."""
    return " ".join(_COMMANDS[role]).split()


def commands_of_scripts() -> list[str]:
    """Return the commands that are called in scripts, or could be: those that read and write keys."""
    return [name for name in f"{_READS} {_WRITES}".split() if "|" not in name]


def rules(role: ServerRole, namespace: str) -> list[str]:
    """Return the rules for `ACL SETUSER`, which replace all rights that a user has; its passwords stay."""
    everything = Keys(namespace).prefix + "*"
    # The key that a call names, `meta`, is checked as one that the call writes to, also if it only reads.
    keys = [f"%R~{everything}", f"~{Keys(namespace)('meta')}"] if role is ServerRole.VIEWER else [f"~{everything}"]
    return ["resetkeys", "resetchannels", "clearselectors", "-@all", *keys, *(f"+{command}" for command in commands(role))]
