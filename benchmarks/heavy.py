"""A job whose module has slow imports: numpy, or if it is not installed, much of the standard library."""

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
    """Do nothing: the import is the work."""
    assert BROUGHT
