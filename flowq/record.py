"""`record`: a dataclass with slots that is frozen for the type checker.

A flow of 100,000 jobs is a million records, and Python's own frozen kind takes three times as long to make, because it sets every field
through a function. What is made once for a whole file or run stays `@dataclass(frozen=True)`; this is for what is made for each job and edge.
"""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, eq_default=True, field_specifiers=(field,))
def record(cls: type[_T]) -> type[_T]:
    """Make a class a record: compared and hashed by its fields, which nobody sets again."""
    return dataclass(slots=True, unsafe_hash=True)(cls)
