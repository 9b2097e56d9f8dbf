"""The matching of positions with proper motions, as LSDB takes it; needs LSDB."""
# LSDB is an extra, and does not say which of its names are public.
# pyright: reportMissingImports=false, reportPrivateImportUsage=false

import pandas as pd
from lsdb.core.crossmatch.abstract_crossmatch_algorithm import AbstractCrossmatchAlgorithm
from lsdb.core.crossmatch.crossmatch_args import CrossmatchArgs

from albireo.crossmatch.pairs import match_positions
from albireo.scale.hats import as_table


class WithMotion(AbstractCrossmatchAlgorithm):
    """Pairs of `match_positions` within a partition.

    Attributes:
        radius: the largest separation [arcsec].
    """

    extra_columns = pd.DataFrame()

    def __init__(self, radius: float):
        self.radius = radius

    def perform_crossmatch(self, crossmatch_args: CrossmatchArgs):
        """Rows of the stars and of the sources that are the same, and no more columns."""
        left, right = crossmatch_args.left_catalog_info, crossmatch_args.right_catalog_info
        stars = as_table(crossmatch_args.left_df, {str(left.ra_column): "ra", str(left.dec_column): "dec"})
        sources = as_table(crossmatch_args.right_df, {str(right.ra_column): "ra", str(right.dec_column): "dec"})
        match = match_positions(stars, sources, self.radius)
        return match.reference, match.other, pd.DataFrame(index=range(len(match.reference)))
