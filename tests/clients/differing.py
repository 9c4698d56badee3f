"""Tests of packages that pass on RQ and not on flowq, and why: without parameters, by package."""

from collections.abc import Mapping
from typing import Final

_ATTRIBUTES: Final = "attributes of workers are read from the store and cannot be set: `worker.hostname`"
_CONFIGURED: Final = "a cron scheduler without a connection uses the configured server"
_SEAMS: Final = "a replaced `Worker.perform_job` or `handle_exception` is not called"
_META: Final = "`meta` is copied: the dictionary that the caller passed does not change with the job"
_BY_HAND: Final = (
    "a status is what has happened to a job: nothing can be put into a registry, and no execution be prepared, by hand"
)
_ASYNC: Final = "`Queue(async=False)`, deprecated in RQ, is `is_async=False`"
_SERIALIZER: Final = "a worker without `serializer=` has none: it reads each job with that job's own"
_KEYS: Final = "RQ's key of a job holds nothing, so writing to it or deleting it does not change the job"
_DELETED: Final = "the record of a deleted job is gone, also from the list of those that wait for another"

DIFFERING: Final[Mapping[str, Mapping[str, str]]] = {
    "django-tasks-rq": {
        "tests.tests.RQBackendTestCase.test_catches_exception": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_complex_exception": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_complex_return_value": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_context": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_exception_classes_pop_empty_list_bug": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_failed_logs": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_refresh_result": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_refresh_result_async": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_started_finished_logs": _ATTRIBUTES,
        "tests.tests.RQBackendTestCase.test_takes_context": _ATTRIBUTES,
    },
    "sentry-sdk": {
        "tests.integrations.rq.test_rq.test_basic": _SEAMS,
        "tests.integrations.rq.test_rq.test_error_has_trace_context_if_tracing_disabled": _SEAMS,
        "tests.integrations.rq.test_rq.test_job_args_kwargs_data_collection": _SEAMS,
        "tests.integrations.rq.test_rq.test_job_with_retries": _SEAMS,
        "tests.integrations.rq.test_rq.test_span_origin": _SEAMS,
        "tests.integrations.rq.test_rq.test_traces_sampler_gets_correct_values_in_sampling_context": _SEAMS,
        "tests.integrations.rq.test_rq.test_tracing_disabled": _SEAMS,
        "tests.integrations.rq.test_rq.test_tracing_enabled": _SEAMS,
        "tests.integrations.rq.test_rq.test_transaction_no_error": _SEAMS,
        "tests.integrations.rq.test_rq.test_transaction_with_error": _SEAMS,
        "tests.integrations.rq.test_rq.test_transport_shutdown": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_cron_job_error": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_cron_job_generated_id": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_cron_job_ok": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_exclude_cron_jobs": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_interval_job": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_local_time_cron_not_monitored": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_not_monitored_by_default": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_one_off_jobs_not_monitored": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_perform_job_raises": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_repeat_job_not_monitored": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_unsupported_cron_string_not_monitored": _SEAMS,
        "tests.integrations.rq.test_rq_crons.test_unsupported_interval_not_monitored": _SEAMS,
    },
    "django-rq": {
        "tests.test_cron.CronTest.test_django_cron_scheduler_init": _CONFIGURED,
        "tests.test_views.ViewTest.test_worker_details": _ATTRIBUTES,
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
    "flask-rq": {
        "tests.test_worker.test_flask": _SEAMS,
        "tests.test_worker.test_quart": _SEAMS,
    },
}
