"""A job whose module imports what takes long to import: numpy, or where that is not, much of the standard library."""

try:
    import numpy as np
except ImportError:
    import asyncio
    import http.server
    import unittest.mock
    import xml.dom.minidom

    BROUGHT: tuple[object, ...] = (asyncio, http.server, unittest.mock, xml.dom.minidom)
else:
    BROUGHT = (np,)


def heavy() -> None:
    """Do nothing: the import was the work."""
    assert BROUGHT
