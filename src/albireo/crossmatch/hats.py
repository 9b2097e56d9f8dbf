"""Reading and matching catalogues partitioned on the sky (HATS) with LSDB, for what does not fit into memory."""
# LSDB is an extra, and does not say which of its names are public.
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.table import Table

from albireo.crossmatch.tables import default_radius
from albireo.errors import UserError
from albireo.scale.hats import as_table, open_hats
from albireo.surveys.read import NothingLeft, find_survey, read

if TYPE_CHECKING:
    from lsdb import Catalog

# What columns of the other catalogue are called that the stars have, too, and that are dropped.
_OTHER = "_of_other"


def read_hats(
    folder: str | Path,
    survey: str,
    *,
    without_cuts: Sequence[str] = (),
    without_corrections: Sequence[str] = (),
    error_floors: bool = True,
) -> "Catalog":
    """Read a survey's photometry, as `albireo.surveys.read` does a table, when its partitions are asked for.

    What the cuts remove is not counted.

    Raises:
        UserError: there is no such survey or cut, it has no photometry, or the catalogue is not the survey's.
    """
    described = find_survey(survey)
    if described.labels:
        raise UserError(f"{survey} has labels of few stars; use its table with `albireo read` and `albireo match`.")
    catalog = open_hats(Path(folder))
    info = catalog.hc_structure.catalog_info
    positions = {"ra": str(info.ra_column), "dec": str(info.dec_column)}
    settings = {"without_cuts": without_cuts, "without_corrections": without_corrections, "error_floors": error_floors}
    first = catalog.to_delayed()[0].compute(scheduler="threads")
    every = [cut.name for cut in described.cuts]
    meta = _frame(read(as_table(first), survey, **settings | {"without_cuts": every}), positions).head(0)
    _read_partition(first, survey, positions, settings, meta)  # refuses what no partition could be read with
    return catalog.map_partitions(_read_partition, survey, positions, settings, meta, meta=meta)


def match_hats(stars: "Catalog", other: "Catalog", radius: float | None = None) -> "Catalog":
    """Add another survey's columns to stars, as `match_tables` does, when the partitions are asked for.

    Every star keeps its row, but for those that match a source marked `extended`. A source at the edge of a partition
    may be given to two stars, one on either side.

    Args:
        stars: of `read_hats` or of this function.
        other: of `read_hats`; with a margin of more than the radius and the longest way that a star has moved, or stars
            at the edges of partitions may miss their partners.
        radius: the largest separation [arcsec]; by default 0.4 for 2MASS and WISE, or else 0.2.
    """
    from albireo.crossmatch.with_motion import WithMotion

    radius = default_radius(Table(names=list(other.columns))) if radius is None else radius
    matched = stars.crossmatch(
        other,
        how="left",
        algorithm=WithMotion(radius),
        suffixes=("", _OTHER),
        suffix_method="overlapping_columns",
        log_changes=False,
    )
    info = other.hc_structure.catalog_info
    return matched.map_partitions(_only_stars, {str(info.ra_column), str(info.dec_column)} - set(stars.columns))


def _only_stars(frame, positions: set[str]):
    """Stars without the other's positions and what they have of their own, and without those that it calls extended."""
    if "extended" in frame:
        frame = frame[~frame["extended"].fillna(False).astype(bool)]  # noqa: FBT003, pandas' own way
    dropped = positions | {"extended"}
    frame = frame.drop(columns=[name for name in frame.columns if name.endswith(_OTHER) or name in dropped])
    # Of two stars pandas makes a range of the index, which is not written to files.
    frame.index = pd.Index(frame.index.to_numpy(), name=frame.index.name)
    return frame


def _read_partition(frame, survey: str, positions: dict[str, str], settings, meta):
    if not len(frame):
        return meta
    try:
        return _frame(read(as_table(frame), survey, **settings), positions).astype(meta.dtypes)
    except NothingLeft:
        return meta


def _frame(table: Table, positions: dict[str, str]):
    """A partition: the index and Arrow's types, as LSDB has them, and the catalogue's names of positions."""
    from hats.pixel_math.spatial_index import SPATIAL_INDEX_COLUMN, compute_spatial_index

    index = compute_spatial_index(np.asarray(table["ra"], float), np.asarray(table["dec"], float))
    table.rename_columns(list(positions), list(positions.values()))
    arrow = pa.Table.from_pandas(table.to_pandas(), preserve_index=False)
    frame = arrow.to_pandas(types_mapper=pd.ArrowDtype)
    frame.index = pd.Index(index, name=SPATIAL_INDEX_COLUMN)
    return frame
