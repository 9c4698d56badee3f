"""Who a request is from, and what that user may. One function decides: `may`."""

from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from typing import Final

SAFE: Final = frozenset({"GET", "HEAD"})
"""Methods that change nothing."""


class Role(IntEnum):
    """What a route asks for, and what a user has: each has all of those before it."""

    OPEN = 0  # no user is needed: signing in, health, deliveries with a signature of their own
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Its name for users."""
        return self.name.lower()


ROLES: Final = tuple(role.word for role in Role if role is not Role.OPEN)


@dataclass(frozen=True, slots=True)
class Principal:
    """A user.

    Attributes:
        name: for messages, approvals and the audit log.
        role: what the user may do.
        flows: patterns of `<catalog>/<flow>` that the user is limited to; none: all flows.
        digest: of the secret that the request had; "" where none is needed.
        cookie: the secret came in a cookie, which a browser sends by itself.
    """

    name: str
    role: Role
    flows: tuple[str, ...] = ()
    digest: str = ""
    cookie: bool = False

    def covers(self, flow: str) -> bool:
        """Return whether a flow (`<catalog>/<flow>`, "" for one that is in no catalog) is one of the user's."""
        return not self.flows or any(fnmatchcase(flow, pattern) for pattern in self.flows)


ANONYMOUS: Final = Principal("", Role.OPEN)


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request wants.

    Attributes:
        role: the least one.
        safe: it changes nothing.
        flow: the flow that it is about, `<catalog>/<flow>` or "" for one that is in no catalog; None: it is about no flow.
        own: it is about the user alone.
        of_all: it tells of all flows.
    """

    role: Role
    safe: bool
    flow: str | None = None
    own: bool = False
    of_all: bool = False


def may(principal: Principal, demand: Demand) -> bool:
    """Return whether a user may do something.

    A user who is limited to flows reads what belongs to no flow, such as queues, but does not change it, and reads nothing that tells of all flows at once.
    """
    if principal.role < demand.role:
        return False
    if not principal.flows or demand.role is Role.OPEN or demand.own:
        return True
    if demand.of_all:
        return False
    return demand.safe if demand.flow is None else principal.covers(demand.flow)
