"""Jobs that are described and not made yet."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from flowq.jobs.call import Call
from flowq.jobs.options import NOT_GIVEN, JobOptions, as_arguments, as_keywords, group_name, option_name, parse_options
from flowq.plan.bulk import nothing, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@record
class EnqueueData:
    """One job for `Queue.enqueue_many`, made by `Queue.prepare_data`."""

    call: Call
    options: JobOptions
    given: Mapping[str, Any] = field(default_factory=nothing)

    def __getattr__(self, name: str) -> Any:
        """Return an argument of `prepare_data` by its name, as it was given."""
        if name in {"args", "kwargs"}:
            return getattr(self.call, name)
        if name == "func":
            return self.call.function()
        if name.startswith("__") or name in self.__slots__:  # of a copy that is being made, which has no fields yet
            raise AttributeError(name)
        try:
            option = option_name(name)
            return self.given.get(option, NOT_GIVEN.get(option))
        except KeyError as error:
            raise AttributeError(f"prepared data has no attribute {name!r}") from error


def describe(
    func: Callable[..., Any] | str, args: Any, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> EnqueueData:
    """Describe a job by a function, its arguments and the options that were given.

    Raises:
        UsageError: the function or an option is not possible.
    """
    return EnqueueData(Call.of(func, as_arguments(args), as_keywords(kwargs)), parse_options(options), options)


def of_group(datas: list[EnqueueData], group: str) -> list[EnqueueData]:
    """Return the same as jobs of a group. The first says how many follow it: the group is not complete before they are there."""
    following = [len(datas) - 1, *[-1] * (len(datas) - 1)]
    return [
        replace(data, options=replace(data.options, group_id=group_name(group), coming=coming))
        for data, coming in zip(datas, following, strict=False)
    ]
