"""The outline of a stored plan: which jobs there are, without the objects of all of them.

A plan of 100,000 jobs has a million objects, which take seconds to make. A reader that counts jobs needs their groups, and the objects
of the few jobs that it shows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from flowq.exceptions import CorruptRecordError
from flowq.plan import stored
from flowq.plan.plan import Plan
from flowq.plan.records import Json

_NUMBERS: Final = re.compile(r"\d+")


class PlanOutline:
    """The rows of a stored plan.

    Args:
        text: the stored form.

    Raises:
        CorruptRecordError: it is not a plan.
    """

    def __init__(self, text: str | bytes) -> None:
        self._members: Mapping[int, range | None] = {}
        try:
            self._document: dict[str, Json] = json.loads(text)
            self._nodes: list[dict[str, Json]] = self._document["nodes"]
            self._cells: list[list[Json]] = self._document["cells"]
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptRecordError(f"the stored plan cannot be read: {type(error).__name__}: {error}") from error

    def foreach_groups(self) -> list[int]:
        """Return the ordinals of the foreach jobs."""
        lists = {index for index, node in enumerate(self._nodes) if node.get("foreach") is not None}
        if not lists:
            return []
        return [ordinal for ordinal, row in enumerate(self._cells) if row[0] in lists and stored.is_shown_group(row)]

    def add_cells(self, members: Mapping[int, range | None]) -> None:
        """Add the cells of each of `foreach_groups`, by their ordinals; None if a list is not known: then the foreach is one job."""
        self._members = members

    def nodes(self) -> list[int]:
        """Return for each ordinal the index of its node, -1 for what is no job that users see."""
        found = [row[0] if len(row) < stored.FLAGGED or not stored.is_no_job(row) else -1 for row in self._cells]
        last = max((cells.stop for cells in self._members.values() if cells), default=len(found))
        found += [-1] * (last - len(found))
        for group, cells in self._members.items():
            node = self._cells[group][0]
            if cells is None:
                found[group] = node
            else:
                found[cells.start : cells.stop] = [node] * len(cells)
        return found

    def is_gate(self, ordinal: int) -> bool:
        """Return whether it decides whether the jobs of a sub-flow are executed: users see it only where it has failed."""
        return ordinal < len(self._cells) and stored.is_hidden_job(self._cells[ordinal])

    def group_names(self) -> list[str]:
        """Return for each node the name of the group that it is counted in.

        That is its stage, its sub-flow, or else its name without numbers: `part-17` is one of `part-*`.
        """
        names = []
        for node in self._nodes:
            name, stage = str(node["name"]), node.get("stage")
            flow = name.partition("/")[0]
            names.append(f"stage {stage}" if stage else f"{flow}/" if flow != name else _NUMBERS.sub("*", name))
        return names

    def approvals(self) -> frozenset[int]:
        """Return the indexes of the nodes that are approvals."""
        return frozenset(index for index, node in enumerate(self._nodes) if node["action"]["kind"] == "approval")

    def queues(self) -> list[str]:
        """Return for each node the queue of its jobs, but see `own_queue`."""
        return [str(node["queue"]) for node in self._nodes]

    def own_queue(self, ordinal: int) -> str:
        """Return the queue of a job that is not that of its node, else ""."""
        return stored.own_queue(self._cells[ordinal]) if ordinal < len(self._cells) else ""

    def part(self, ordinals: Sequence[int]) -> Plan:
        """Return a plan with these jobs only, without their dependencies, numbered from 0.

        Raises:
            PlanVersionError: the plan has a version that this flowq does not know.
            CorruptRecordError: it is not a plan.
        """
        lists = {member: (group, index) for group, cells in self._members.items() for index, member in enumerate(cells or ())}
        rows = [self._cells[lists[ordinal][0] if ordinal in lists else ordinal] for ordinal in ordinals]
        nodes = [self._nodes[row[0]] for row in rows]
        jobs = [stored.as_job(row, index) for index, row in enumerate(rows)]
        plan = Plan.from_document({**self._document, "nodes": nodes, "cells": jobs})
        cells = (
            replace(cell, name=f"{cell.name}[{lists[ordinal][1]}]") if ordinal in lists else cell
            for cell, ordinal in zip(plan.cells, ordinals, strict=True)
        )
        return replace(plan, cells=tuple(cells))
