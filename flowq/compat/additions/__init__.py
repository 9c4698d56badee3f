"""Names of RQ that flowq's modules and classes lack: each module here adds a group of them when it is imported.

A class of names is written as a subclass of the class that gets them, so that types are checked; it is never instantiated.
"""


def add(target: type, names: type) -> None:
    """Give a class the attributes of another one that it does not have."""
    for name, value in vars(names).items():
        if not name.startswith("__") and not hasattr(target, name):
            setattr(target, name, value)


def add_constants(target: object, constants: dict[str, object]) -> None:
    """Give a module the constants that it does not have."""
    for name, value in constants.items():
        if not hasattr(target, name):
            setattr(target, name, value)
