"""Bundles: the files that a run needs beside its plan, so that its jobs run on machines without its directory.

    listing       which files belong, and the hash that names a bundle by its content
    archive       the bytes that travel, and the directory that is made of them again
    cache         the directory of a machine in which they are kept and unpacked
    requirements  which packages a bundle names that a machine lacks
    prepare       the program that makes the files of a run ready and becomes its fork server

A bundle is plain data: where it is stored and for which run is the business of others. The same files make the same hash on every machine,
and an archive is only unpacked if what is in it has the hash that was asked for.
"""

from typing import Final

FAILED: Final = 92
"""The exit code of `prepare` when the files cannot be made ready."""
