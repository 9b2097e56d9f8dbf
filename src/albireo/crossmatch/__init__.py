"""Matching tables of stars, by position or by a table of neighbours."""

from albireo.crossmatch.pairs import Match, match_neighbours, match_positions
from albireo.crossmatch.tables import add_columns, default_radius, match_tables

__all__ = ["Match", "add_columns", "default_radius", "match_neighbours", "match_positions", "match_tables"]
