"""Tests of packages that pass on RQ and not on flowq, and why: without parameters, by package."""

from collections.abc import Mapping
from typing import Final

_CONFIGURED: Final = "`CronScheduler()` without a connection uses the configured server"
_UNSERIALIZABLE: Final = "a return value that cannot be serialized fails the job; in RQ the job finishes without it"
_META: Final = "`meta` is copied: the dictionary that the caller passed does not change with the job"
_BY_HAND: Final = (
    "a status is what has happened to a job: nothing can be put into a registry, and no execution be prepared, by hand"
)
_ASYNC: Final = "`Queue(async=False)`, deprecated in RQ, is `is_async=False`"
_SERIALIZER: Final = "a worker without `serializer=` has none: it reads each job with that job's own"
_KEYS: Final = "RQ's key of a job holds nothing, so writing to it or deleting it does not change the job"
_DELETED: Final = "the record of a deleted job is gone, also from the list of those that wait for another"

DIFFERING: Final[Mapping[str, Mapping[str, str]]] = {
    "django-tasks-rq": {"tests.tests.RQBackendTestCase.test_complex_return_value": _UNSERIALIZABLE},
    "django-rq": {
        "tests.test_cron.CronTest.test_django_cron_scheduler_init": _CONFIGURED,
        "tests.test_django_rq_utils.UtilsTest.test_get_jobs": _KEYS,
        "tests.test_views.ViewTest.test_job_details": _KEYS,
        "tests.test_prometheus_metrics.PrometheusTest.test_metrics_with_jobs": _BY_HAND,
        "tests.test_views.ViewTest.test_deferred_jobs": _BY_HAND,
        "tests.test_views.ViewTest.test_failed_jobs": _BY_HAND,
        "tests.test_views.ViewTest.test_finished_jobs": _BY_HAND,
        "tests.test_views.ViewTest.test_scheduled_jobs_registry_removal": _BY_HAND,
        "tests.test_views.ViewTest.test_started_jobs": _BY_HAND,
        "tests.test_views.ViewTest.test_job_details_with_dependents": _DELETED,
        "tests.tests.QueuesTest.test_async": _ASYNC,
        "tests.tests.WorkersTest.test_get_worker_default_serializer": _SERIALIZER,
    },
    "rq-scheduler": {
        "tests.test_scheduler.TestScheduler.test_job_with_interval_can_set_meta": _META,
        "tests.test_scheduler.TestScheduler.test_periodic_jobs_sets_meta": _META,
    },
}
