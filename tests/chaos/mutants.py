"""Mistakes in a copy of flowq. The checks must find each of them: otherwise their zeros would mean nothing."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).parents[2] / "flowq"
_ID_OF_SLOT: Final = "slot_id(known.id, str(claim.slot), salt)"
_NO_ID_OF_SLOT: Final = 'slot_id(known.id, __import__("os").urandom(9).hex(), salt)'


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake: in a file of the package `right` is replaced by `wrong`, and likewise in the file of `more`.

    `checks` are those of which at least one must find it.
    """

    file: str
    right: str
    wrong: str
    checks: tuple[str, ...]
    more: "Mutant | None" = None


_MAY_STAY: Final = """return outcome["outcome"] == "finished" and "left" not in outcome and self._jobs < self._task["batch"]

    def stays(self) -> bool:
        \"""Return whether the job has left nothing behind, so that the horse can take another one.\"""
        """

MUTANTS: Final = {
    "no fence": Mutant(
        "store/lua/lib/execution_history.lua",
        "if job.token == token then\n    if",
        "if true then\n    if",
        ("finished without a good execution", "duplicated transitions"),
        more=Mutant(
            "store/lua/worker/heartbeat.lua",
            "if found[1] ~= 'started' or found[2] ~= token then",
            "if found[1] ~= 'started' then",
            (),
        ),
    ),
    "early release": Mutant(
        "store/lua/job/release_dependents.lua",
        "call('HINCRBY', K.job(child_id), 'pending', -1)\n  return true",
        "if call('HINCRBY', K.job(child_id), 'pending', -1) == 1 then L.ready(L.load(child_id)) end\n  return true",
        ("early dependents",),
    ),
    "lost outbox": Mutant(
        "store/lua/lib/job_end.lua",
        "L.push('edges', job.id, 0, job.run, job.run and job)",
        "L.retire(job)",
        ("stuck",),
    ),
    "no lease expires": Mutant("store/lua/job/reap_expired_lease.lua", "if lease > now then", "if true then", ("stuck",)),
    "places are kept": Mutant(
        "store/lua/lib/semaphores.lua",
        "call('ZREM', K.holders(sem.name), job.id)\n      if",
        "if",
        ("stuck", "over their limits", "inconsistent"),
    ),
    "places without a limit": Mutant(
        "store/lua/lib/semaphores.lua",
        "return call('ZCARD', key) < sem.max or",
        "return true or",
        ("over their limits",),
    ),
    "one attempt too many": Mutant(
        "store/lua/lib/retry.lua", "if attempt > max or", "if attempt > max + 1 or", ("attempts over the bound",)
    ),
    "a request counts twice": Mutant(
        "store/lua/job/create.lua", "if old.nonce == nonce then", "if false then", ("duplicated transitions", "inconsistent")
    ),
    "a report counts twice": Mutant(
        "store/lua/lib/execution_history.lua", "  return 'duplicate'\n", "  return nil\n", ("inconsistent",)
    ),
    "records expire": Mutant("store/lua/lib/job_end.lua", "  if ttl < 0 then return end\n", "", ("lost",)),
    "a payload stays": Mutant(
        "store/lua/lib/status.lua", "K.job(id), K.payload(id), K.result(id)", "K.job(id), K.result(id)", ("orphan keys",)
    ),
    "rates without a period": Mutant(
        "store/lua/lib/rate_limits.lua",
        "if rate and (places >= rate or frees_at(name, rate - places, period)) then return false end",
        "if rate and places >= rate then return false end",
        ("over their rates",),
    ),
    "a slot of two schedulers": Mutant(
        "store/lua/lib/slot_claims.lua",
        "if tonumber(found[1] or -1) ~= claim.after then return 'conflict' end",
        "if tonumber(found[1] or -1) ~= claim.after and tonumber(found[1]) ~= claim.slot then return 'conflict' end",
        ("slots",),
        more=Mutant("schedules/slot_runs.py", _ID_OF_SLOT, _NO_ID_OF_SLOT, ()),
    ),
    "a skipped slot leaves no trace": Mutant(
        "store/lua/schedule/settle_slot.lua",
        "L.log_slot(id, slot, outcome, reason, run, first, count)",
        "if outcome ~= 'skipped' then L.log_slot(id, slot, outcome, reason, run, first, count) end",
        ("slots",),
    ),
    "a backfill of two schedulers": Mutant(
        "store/lua/lib/slot_claims.lua",
        "if tonumber(found[2] or -1) ~= claim.after then return 'conflict' end",
        "",
        ("slots",),
        more=Mutant("schedules/slot_runs.py", _ID_OF_SLOT, _NO_ID_OF_SLOT, ()),
    ),
    "an end of two schedulers": Mutant(
        "store/lua/lib/slot_claims.lua",
        "if claim.cursor ~= '' and found[1] ~= claim.before then return 'conflict' end",
        "",
        ("events",),
        more=Mutant(
            "schedules/events/event_runs.py",
            "run_id=slot_id(known.id, claim.key)",
            'run_id=slot_id(known.id, __import__("os").urandom(9).hex())',
            (),
        ),
    ),
    "each delivery is another one": Mutant(
        "schedules/events/webhooks.py",
        "delivery.at_ms, key, over",
        'delivery.at_ms, key + __import__("os").urandom(9).hex(), over',
        ("events",),
    ),
    "a delivery is noted before its run is there": Mutant(
        "schedules/events/webhooks.py",
        "    claim = EventClaim(",
        "    schedules.settle_event(EventClaim(known.id, delivery.at_ms, key))\n    claim = EventClaim(",
        ("events",),
    ),
    "children outlive serve": Mutant(
        "serve/child.py", 'options, passed = [f"--lifeline={lifeline}"], [lifeline]', "options, passed = [], []", ("processes",)
    ),
    "a refusal to share is not looked at": Mutant(
        "isolation.py", "return BATCH in words and JOB not in words", "return BATCH in words", ("shared processes",)
    ),
    "a process goes on after a failure": Mutant(
        "worker/horse/batch.py",
        _MAY_STAY,
        _MAY_STAY.replace('outcome["outcome"] == "finished" and ', "") + "return True\n        ",
        ("shared processes",),
    ),
    "an end of file is not looked at": Mutant(
        "store/client/async_connection.py",
        '        if not data:\n            raise ServerUnavailableError("the server closed the connection")\n',
        "",
        ("stuck", "processes"),
    ),
    "an exit is a success": Mutant(
        "worker/supervisor/ends.py",
        "    if code >= 0:\n",
        '    if code == 0:\n        return {"outcome": "finished", "value": b"null", "exit_code": 0}\n    if code >= 0:\n',
        ("finished without a good execution",),
    ),
}


def texts(mutant: Mutant | None) -> dict[str, str]:
    """Return the files of the package that a mutant changes, with their mistakes.

    Raises:
        AssertionError: a file has another text now.
    """
    found: dict[str, str] = {}
    while mutant is not None:
        right = (_PACKAGE / mutant.file).read_text()
        assert right.count(mutant.right) == 1, f"{mutant.file} has another text now: {mutant.right!r} is not in it once"
        found[mutant.file] = right.replace(mutant.right, mutant.wrong)
        mutant = mutant.more
    return found


def seed(mutant: Mutant, directory: Path) -> Path:
    """Copy flowq with a mistake into a directory; return the directory, to be imported from."""
    shutil.copytree(_PACKAGE, directory / "flowq", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in texts(mutant).items():
        (directory / "flowq" / file).write_text(text)
    return directory
