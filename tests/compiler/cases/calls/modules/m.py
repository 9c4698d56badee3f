"""What the jobs of the cases call where it does not matter what is called."""


def f(*args: object, **kwargs: object) -> object:
    return args or kwargs


a = b = page = f
list = f  # noqa: A001 - a name as any other
