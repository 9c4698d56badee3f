"""The files that travel with a run: put into the store when it is submitted, once for all runs that have the same."""

import hashlib
import io
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from flowq.artifacts.opening import WAYS, open_blobs
from flowq.bundles.archive import pack, pointer
from flowq.bundles.listing import BundleFile, Rules, hash_of, list_files
from flowq.defaults import MAX_BUNDLE
from flowq.exceptions import TooLargeError, UsageError
from flowq.plan import Plan
from flowq.plan.shipment import Shipment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.store import Store


def with_shipment(plan: Plan, root: str = "") -> Plan:
    """Return a plan whose run takes its files along, as with `code: ship` (`--ship`): those of `root`, or of its file's directory.

    Raises:
        UsageError: it is not the plan of a file.
    """
    if plan.shipment is not None:
        return plan
    if not plan.file:
        raise UsageError("a flow from standard input has no files that could travel: write it into a file, or leave --ship out")
    return replace(plan, shipment=Shipment(root) if root else Shipment.of_file(plan.file))


def ship(store: "Store", plan: Plan) -> dict[str, str]:
    """Put the files of a plan into the store; return the fields of the run's record that name them, none if nothing travels.

    Raises:
        UsageError: a flow file is not among them, or they cannot be read.
        TooLargeError: they are too large for the server, and there is no file store.
        BlobError: the file store cannot be used.
    """
    shipment = plan.shipment
    if shipment is None:
        return {}
    files = list_files(shipment.root, Rules(shipment.include, shipment.exclude))
    _check_flow_files(plan, shipment, files)
    name = hash_of(files)
    if not store.bundles.keep(name):
        archive = pack(os.path.realpath(shipment.root), files)
        store.bundles.put(name, archive if len(archive) <= MAX_BUNDLE else _put_elsewhere(store, archive, shipment.root))
    fields = {"bundle": name, "bundle_root": shipment.root, "bundle_requires": shipment.requires}
    return {key: value for key, value in fields.items() if value}


def _put_elsewhere(store: "Store", archive: bytes, root: str) -> bytes:
    """Put an archive that is too large for the server into the file store; return what the server keeps in its place."""
    url = store.artifacts.file_store()
    if not url:
        raise TooLargeError(
            f"the files of {root} take {len(archive) / 1024**2:.1f} MiB packed, at most {MAX_BUNDLE // 1024**2} MiB"
            f" travel with a run: exclude data with `bundle.exclude` or .flowqignore, or {WAYS}"
        )
    digest = hashlib.sha256(archive).hexdigest()
    open_blobs(url).put(digest, io.BytesIO(archive))
    return pointer(digest)


def _check_flow_files(plan: Plan, shipment: Shipment, files: "Sequence[BundleFile]") -> None:
    """Refuse a bundle without the flow files, whose directories jobs use, or without its requirements."""
    paths = {file.path for file in files}
    if shipment.requires and shipment.requires not in paths:
        raise UsageError(f"the bundle of {shipment.root} has no {shipment.requires}, which `bundle.requires` names")
    for source in plan.sources:
        path = os.path.relpath(source, shipment.root)
        if path.startswith(".."):
            raise UsageError(
                f"the flow file {source} lies outside {shipment.root}, whose files travel: set `bundle: {{root: …}}` to a directory above both"
            )
        if path not in paths:
            raise UsageError(
                f"the flow file {source} does not travel: `bundle` or .flowqignore of {shipment.root} leaves it out"
            )
