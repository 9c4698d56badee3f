"""The rest of the tests of django-tasks-rq, whose archive has only the tests themselves."""
