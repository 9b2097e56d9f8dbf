"""Catalogues partitioned on the sky (HATS), inferred partition by partition on a Dask cluster, into a HATS catalogue.

LSDB reads the partitions, Dask hands them to its workers and starts anew what a dead one had, and each partition is a
run of its own (`albireo.scale.chunks`), so that little is lost. A partition's file appears when it is done: what has
its file is not done again. All workers must see the folders of input and output under the same names.
"""
# These packages are an extra, and do not say which of their names are public.
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table, hstack

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.output import write_whole
from albireo.scale.chunks import infer_in_chunks
from albireo.scale.convert import votable_metadata
from albireo.scale.manifest import DATASET, PARTITIONS, SUMMARY, begin_run, check_manifest, check_output
from albireo.scale.parts import join_parts
from albireo.scale.rows import from_arrow
from albireo.summary import Column, describe
from albireo.tables import naming_column

if TYPE_CHECKING:
    from distributed import Client
    from lsdb import Catalog as HatsCatalog

_RETRIES = 2
_TIMEOUT = "5s"

# One of these is in the folder of every catalogue, or of a collection of them.
_PROPERTIES = ("hats.properties", "properties", "collection.properties")

# Columns of a partition that no other summary has, or that mean something else there.
_INDEX = Column("", "pos.healpix", "the star's HEALPix pixel (nested, equatorial), at the order that the name says")
_POSITIONS = {
    "ra": Column("deg", "pos.eq.ra;meta.main", "right ascension"),
    "dec": Column("deg", "pos.eq.dec;meta.main", "declination"),
}
_ROW = Column("", "meta.record", "row of the star in its partition of the input, from 0")


def infer_hats(
    folder: Path,
    problem: dict[str, Any],
    output: Path,
    settings: dict[str, Any],
    *,
    dask: str = "local",
    prepare: Callable[..., Catalog] = lambda stars, checked: stars,  # noqa: ARG005, the signature is the point
    resume: bool = False,
    progress: Callable[[int], None] = lambda count: None,  # noqa: ARG005
) -> int:
    """Infer all stars of a HATS catalogue; returns how many partitions there are.

    Args:
        folder: the catalogue.
        problem: arguments of `infer` besides the stars and `seed`.
        output: the HATS catalogue to write: the index, positions and ids of the stars, and their summaries.
        settings: whatever determines the result, as plain JSON values, among them the `seed`.
        dask: "local" for workers on this machine, or the address of a scheduler.
        prepare: as for `CatalogFile`.
        resume: go on with the run that the folder holds, if any.
        progress: called with the number of stars of every partition that is done.

    Raises:
        UserError: there is no such catalogue or cluster, the stars make no sense, or the output holds another run.
        RuntimeError: some partitions failed again and again; all others are done.
    """
    check_output(output, resume=resume)
    catalog = open_hats(folder)
    settings = {**settings, "input": _fingerprint(catalog)}
    if (output / "run.json").exists():
        check_manifest(output, settings)
    parts = dict(zip(catalog.get_ordered_healpix_pixels(), catalog.to_delayed(), strict=True))
    names = _check(folder, next(iter(parts.values())).compute(scheduler="threads"), catalog, problem, prepare)
    with _connect(dask) as client:
        begin_run(output, settings)
        shared = {**problem, "prepare": prepare, "names": names}
        failed = _run(client, catalog, parts, shared, output, settings, progress)
    _write_metadata(catalog, output)
    if failed:
        pixel, error = next(iter(failed.items()))
        raise RuntimeError(
            f"{len(failed)} of {len(parts)} partitions failed, all others are done; go on with --resume "
            f"({pixel}: {error})"
        )
    shutil.rmtree(output / PARTITIONS, ignore_errors=True)
    return len(parts)


def check_hats(folder: Path) -> None:
    """Refuse a folder that is no HATS catalogue, before anything else is done.

    Raises:
        UserError: as said.
    """
    if not any((folder / name).is_file() for name in _PROPERTIES):
        raise UserError(
            f"{folder} is neither a table nor the folder of a HATS catalogue; give the path of one of them."
        )


def open_hats(folder: Path) -> "HatsCatalog":
    """All columns of a catalogue.

    Raises:
        UserError: there is none, or LSDB is not installed.
    """
    check_hats(folder)
    try:
        import distributed  # noqa: F401, the workers need it
        import lsdb
    except ImportError:
        raise UserError(
            "HATS catalogues need more packages; install them with `pip install 'albireo[hats]'`."
        ) from None
    try:
        return lsdb.open_catalog(folder, columns="all")  # those shown by default may lack some that matter
    except Exception as error:  # whatever is missing in the folder
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"{folder} could not be read as a HATS catalogue ({cause}); give the folder of one.") from None


def _fingerprint(catalog: "HatsCatalog") -> dict[str, str]:
    """Where the catalogue is and what its properties, with the time it was made, and partitions are."""
    folder = Path(str(catalog.hc_structure.catalog_base_dir)).resolve()
    text = f"{catalog.hc_structure.catalog_info.model_dump_json()}{catalog.get_ordered_healpix_pixels()}"
    return {"path": str(folder), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _check(folder: Path, frame, catalog: "HatsCatalog", problem, prepare) -> str | None:
    """Judge the stars of one partition as those of any table; returns the column that names the stars of all."""
    model = problem["model"]
    try:
        stars = prepare(_stars(frame, _position_columns(catalog), model, checked=False), checked=False)
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
    return naming_column(stars.extra)


def _position_columns(catalog: "HatsCatalog") -> dict[str, str]:
    info = catalog.hc_structure.catalog_info
    return {str(info.ra_column): "ra", str(info.dec_column): "dec"}


def as_table(frame, names: dict[str, str] | None = None) -> Table:
    """A partition as a table of plain columns, some of which get other names."""
    import pyarrow as pa

    frame = frame.drop(columns=list(getattr(frame, "nested_columns", ())))
    return from_arrow(pa.Table.from_pandas(frame.rename(columns=names or {}), preserve_index=False))


def _stars(frame, positions: dict[str, str], model, *, checked: bool) -> Catalog:
    """The stars of a partition, a data frame of Arrow's types."""
    taken = {name.lower() for name in frame.columns}
    names = {theirs: ours for theirs, ours in positions.items() if ours not in taken}
    table = as_table(frame, names)
    return Catalog.from_table(table, bands=model.bands, labels=model.labels, checked=checked)


@contextmanager
def _connect(address: str) -> "Iterator[Client]":
    """A client of the cluster at an address, or of one made for the while; infer keeps two cores busy."""
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what goes wrong is told once, by us
    if address == "local":
        workers = max((os.cpu_count() or 1) // 2, 1)
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(f"there is no Dask scheduler at {address} ({cause}); start one, or use --dask local.") from None
    with client:
        yield client


def _run(client: "Client", catalog: "HatsCatalog", parts, shared, output: Path, settings, progress) -> dict[Any, str]:
    """Do all partitions that have no file yet; returns those that failed, and why."""
    import dask
    from distributed import CancelledError, as_completed

    # Part of the graph: it goes to each worker once, and comes again where the only one that had it has died.
    shared = dask.delayed(shared, traverse=False, pure=False)
    positions, do = _position_columns(catalog), dask.delayed(_infer_partition, pure=False)
    to_do = {pixel: part for pixel, part in parts.items() if not _file(output, pixel).exists()}
    tasks = [do(part, shared, positions, (p.order, p.pixel), output.resolve(), settings) for p, part in to_do.items()]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # a model and a map of dust, once
        submitted: Any = client.compute(tasks, retries=_RETRIES)
    futures = dict(zip(submitted, to_do, strict=True))
    failed = {}
    for future in as_completed(list(futures)):
        error = CancelledError("the cluster has gone") if future.cancelled() else future.exception()
        if error is None:
            progress(future.result())
        else:
            failed[futures[future]] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return failed


def _infer_partition(
    frame, shared: dict[str, Any], positions: dict[str, str], pixel: tuple[int, int], output: Path, settings
) -> int:
    """Infer the stars of a partition and write its file; returns how many they are. Runs on a worker."""
    from hats import HealpixPixel

    from albireo.inference import infer

    path = _file(output, HealpixPixel(*pixel))
    if path.exists() or not len(frame):
        return len(frame)
    problem = dict(shared)
    prepare, names = problem.pop("prepare"), problem.pop("names")
    stars = prepare(_stars(frame, positions, problem["model"], checked=True).named_by(names), checked=True)
    # Rows are counted in the partition, so a partition has random numbers of its own.
    seed = int(np.random.SeedSequence([settings["seed"], *pixel]).generate_state(1)[0])
    work = output / PARTITIONS / f"{pixel[0]}-{pixel[1]}"
    infer_in_chunks(stars, lambda chunk: infer(chunk, **problem, seed=seed), work, settings, resume=True)
    joined = work / "joined.parquet"
    _join(frame, positions, Table.read(work / SUMMARY, format="parquet")).write(joined, overwrite=True)
    write_whole(path, lambda path: join_parts([joined], path, lambda rows: votable_metadata(from_arrow(rows))))
    shutil.rmtree(work)
    return len(frame)


def _join(frame, positions: dict[str, str], summary: Table) -> Table:
    """The spatial index and the positions of the stars before their summaries."""
    import pyarrow as pa

    first = from_arrow(pa.Table.from_pandas(frame[list(positions)], preserve_index=True))
    summary.remove_columns([name for name in first.colnames if name in summary.colnames])
    table = hstack([first, summary])
    sky = {theirs: _POSITIONS[ours] for theirs, ours in positions.items()}
    describe(table, {frame.index.name: _INDEX, "row": _ROW} | sky)
    return table


def _file(output: Path, pixel) -> Path:
    from hats.io.paths import pixel_catalog_file

    return Path(str(pixel_catalog_file(output, pixel)))


def _write_metadata(catalog: "HatsCatalog", output: Path) -> None:
    """What makes the partitions' files a catalogue."""
    from hats.catalog import PartitionInfo
    from hats.io import write_parquet_metadata

    for left in (output / DATASET).rglob("partial-*"):  # by a worker that died in a partition that failed later
        left.unlink()
    pixels = [pixel for pixel in catalog.get_ordered_healpix_pixels() if _file(output, pixel).exists()]
    if not pixels:
        return
    num_rows = write_parquet_metadata(output)
    partitions = PartitionInfo(pixels)
    partitions.write_to_file(output / "partition_info.csv")
    info, builder = catalog.hc_structure.catalog_info, f"albireo v{version('albireo')}"
    properties = info.copy_and_update(
        catalog_name=f"{info.catalog_name}_albireo",
        total_rows=num_rows,
        default_columns=None,
        npix_suffix=".parquet",
        skymap_order=None,
        skymap_alt_orders=None,
        hats_order=partitions.get_highest_order(),
        hats_max_bytes=None,
        **info.new_provenance_dict(output, builder, hats_cols_sort=None, hats_cols_survey_id=None),
    )
    properties.to_properties_file(output)
