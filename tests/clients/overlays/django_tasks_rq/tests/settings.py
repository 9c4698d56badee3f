"""The settings of a Django project with two queues."""

_SERVER = {"HOST": "localhost", "PORT": 6379}

SECRET_KEY = "of a test"
USE_TZ = True
INSTALLED_APPS = ["django_tasks_rq", "django_rq", "tests"]
TASKS = {"default": {"BACKEND": "django_tasks_rq.RQBackend", "QUEUES": ["default", "queue-1"]}}
RQ_QUEUES = {"default": _SERVER, "queue-1": _SERVER}
