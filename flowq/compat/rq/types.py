"""`rq.types`: types for annotations."""

from collections.abc import Callable
from typing import Any, TypeAlias

from flowq.dependency import Dependency
from flowq.job import Job

FunctionReferenceType: TypeAlias = str | Callable[..., Any]
JobDependencyType: TypeAlias = Dependency | Job | str | list[Dependency | Job | str]
SuccessCallbackType: TypeAlias = Callable[[Job, Any, Any], Any]
FailureCallbackType: TypeAlias = Callable[[Job, Any, type[BaseException] | None, BaseException | None, Any], Any]
