"""The result of a job that is in no run, as JSON.

What such a job returns is pickled unless it has another serializer, and reading a pickle may execute code: a user who may write to the server
could then execute code in every terminal that shows a result. So only pickles of plain data are read here.
"""

import io
import json
import pickle
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flowq.exceptions import DeserializationError, InvalidJobOperation, NoSuchJobError
from flowq.plan import Json
from flowq.results import decode
from flowq.serializers import JSONSerializer, PickleSerializer, serializer_name
from flowq.worker.horse.result_encoding import InvalidResultError, to_json

if TYPE_CHECKING:
    from flowq.store import Store

_CLASSES: Final = frozenset(
    {*(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")), ("collections", "OrderedDict")}
)


class _ForeignClassError(Exception):
    """The pickle has an object of another class than those of plain data."""


class _PlainData(pickle.Unpickler):
    """A reader of pickles that imports nothing of anyone's."""

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in _CLASSES:
            raise _ForeignClassError(f"it has an object of {module}.{name}")
        return super().find_class(module, name)


class _PlainPickle(PickleSerializer):
    @staticmethod
    def loads(data: bytes, /) -> Any:
        """Return the plain data."""
        return _PlainData(io.BytesIO(data)).load()


_READ: Final[Mapping[str, Any]] = {
    "": _PlainPickle,
    "pickle": _PlainPickle,
    serializer_name(JSONSerializer): JSONSerializer,
    "json": JSONSerializer,
}


def plain_result(store: "Store", job: str) -> Json:
    """Return what a job without a flow has returned last.

    Raises:
        NoSuchJobError: it has expired meanwhile.
        InvalidJobOperation: it has no result.
        DeserializationError: its result is no JSON, or only the user's code can read it; the text says how.
        SignatureError: it is not signed with the key that is set here.
    """
    record, result = store.jobs.get(job), store.jobs.result(job)
    if record is None:
        raise NoSuchJobError(f"the record of job {job!r} has expired")
    if result is None or result.type != "successful":
        raise InvalidJobOperation(f"{job!r} has no result, it is {record.status}: `flowq status {job}` shows why")
    serializer = _READ.get(record.serializer or "")
    otherwise = f"in Python, flowq.job.Job.fetch({job!r}).return_value() returns it"
    if serializer is None:
        raise DeserializationError(f"the result of job {job} is one of the serializer {record.serializer}: {otherwise}")
    try:
        found: Json = json.loads(to_json(decode(job, result.value, serializer), sys.maxsize))
    except DeserializationError as error:
        hint = f"; {otherwise}" if isinstance(error.__cause__, _ForeignClassError) else ""
        raise DeserializationError(f"{error}{hint}") from error
    except InvalidResultError as error:
        raise DeserializationError(
            f"the result of job {job} is no JSON: {str(error).partition(';')[0]}; {otherwise}"
        ) from error
    return found
