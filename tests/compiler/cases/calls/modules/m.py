"""A callable for jobs of cases in which the callable does not matter."""


def f(*args: object, **kwargs: object) -> object:
    return args or kwargs


a = b = page = f
list = f  # noqa: A001 - a name as any other
