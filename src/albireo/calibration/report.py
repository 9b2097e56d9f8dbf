"""Calibration: what came out, by variable and by kind of star, as tables, lines and files."""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from jaxtyping import Bool, Float
from scipy.stats import norm

from albireo.calibration.uniformity import LEVELS, coverage, uniformity_p_value
from albireo.flags import Flag

FILES = ("calibration.json", "calibration.ecsv", "calibration-stars.parquet", "calibration.png")
"""What `Calibration.save` writes."""

ALL = "all"
_MAX_ERRORS = 3.0  # standard errors by which a coverage may be off before it is counted


@dataclass(frozen=True, eq=False)
class Calibration:
    """How the true values of simulated stars rank among their posterior draws.

    Stars are divided by their data alone (template magnitude, measured bands, position, posterior medians): given its
    data every star's rank is uniform, whereas stars chosen by their true values, such as true giants, have ranks that
    are not, even in exact posteriors. Every star counts in the group `all`, converged or not.

    Attributes:
        stars: one row a star: what was measured, in the columns that `Catalog` reads, so that a star can be inferred
            again; for each variable `_true`, `_p50` (posterior median) and `_pit` (posterior probability below the
            truth, see `probability_integral_transform`; NaN if the star could not be sampled).
        table: one row a group and variable: number of stars, p-value of uniform ranks, mean rank (0.5 if nothing is
            biased, to 1/√(12 n)), coverage of the central intervals and its binomial standard error.
        variables: names of the variables.
    """

    stars: Table
    table: Table
    variables: tuple[str, ...]

    @classmethod
    def from_stars(cls, columns: Mapping[str, np.ndarray], reference_band: str) -> "Calibration":
        """Divide ranked stars into groups and judge each.

        Args:
            columns: of the table `stars`.
            reference_band: the band of the template magnitudes.
        """
        stars = Table(dict(columns))
        variables = tuple(name.removesuffix("_pit") for name in stars.colnames if name.endswith("_pit"))
        rows = [
            _row(group, name, np.asarray(stars[f"{name}_pit"])[chosen])
            for group, chosen in _groups(stars, reference_band)
            for name in variables
        ]
        return cls(stars, Table(rows=rows), variables)

    @property
    def not_sampled(self) -> float:
        """Share of the stars that could not be sampled, which have no ranks."""
        return self._flagged(Flag.NOT_SAMPLED)

    @property
    def not_converged(self) -> float:
        """Share of the stars that were flagged as not converged."""
        return self._flagged(Flag.NOT_CONVERGED)

    def _flagged(self, flag: Flag) -> float:
        return float(np.mean(np.asarray(self.stars["flags"]) & int(flag) > 0))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups."""
        return tuple(dict.fromkeys(map(str, self.table["group"])))

    def of(self, group: str) -> list[dict[str, Any]]:
        """The results of a group, one a variable."""
        return [dict(row) for row in self.table if row["group"] == group]

    def pit(self, variable: str) -> Float[np.ndarray, " star"]:
        """Transforms of all stars that could be sampled."""
        values = np.asarray(self.stars[f"{variable}_pit"], float)
        return values[np.isfinite(values)]

    def errors_off(self, level: float) -> Float[np.ndarray, " row"]:
        """Coverage less what it should be, in standard errors, for every row of the table with stars."""
        name = _column(level)
        off = (np.asarray(self.table[name]) - level) / np.asarray(self.table[f"{name}_err"])
        return off[np.isfinite(off)]

    def lines(self) -> list[str]:
        """What came out, as text."""
        return [*self._overall(), "", *self._by_group(), "", *self._verdict()]

    def _overall(self) -> Iterator[str]:
        yield f"{'all stars':20}{'p-value':>10}{'mean rank':>11}" + "".join(f"{f'{p:.0%} holds':>16}" for p in LEVELS)
        for row in self.of(ALL):
            covered = (_percent(row[_column(p)], row[f"{_column(p)}_err"]) for p in LEVELS)
            yield (
                f"{row['variable']:20}{row['p_value']:>10.4f}{row['mean_rank']:>11.3f}"
                + "".join(f"{text:>16}" for text in covered)
            )

    def _by_group(self) -> Iterator[str]:
        yield f"{'68 % intervals hold':28}{'stars':>7}" + "".join(f"{name:>18}" for name in self.variables)
        for group in self.groups:
            rows = self.of(group)
            cells = (_percent(row[_column(0.68)], row[f"{_column(0.68)}_err"]) for row in rows)
            yield f"{group:28}{rows[0]['num_stars']:>7}" + "".join(f"{text:>18}" for text in cells)

    def _verdict(self) -> Iterator[str]:
        off = np.concatenate([self.errors_off(level) for level in LEVELS])
        beyond, chance = np.sum(np.abs(off) > _MAX_ERRORS), 2 * norm.sf(_MAX_ERRORS) * len(off)
        yield (
            f"{beyond} of {len(off)} coverages are more than {_MAX_ERRORS:.0f} standard errors off, "
            f"where chance makes {chance:.1f}"
        )
        yield f"not converged: {self.not_converged:.1%} of the stars; not sampled: {self.not_sampled:.1%}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [{name: _plain(row[name]) for name in self.table.colnames} for row in self.table]
        return {
            "num_stars": len(self.stars),
            "not_converged": self.not_converged,
            "not_sampled": self.not_sampled,
            "results": rows,
        }

    def save(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Write the files named in `FILES` into a folder.

        Args:
            folder: made if it is not there.
            settings: what was asked for, as plain JSON values; kept in the JSON file.
        """
        from albireo.calibration.figure import calibration_figure

        folder.mkdir(parents=True, exist_ok=True)
        content = {"settings": dict(settings), **self.to_dict()}
        (folder / FILES[0]).write_text(json.dumps(content, indent=2) + "\n")
        self.table.write(folder / FILES[1])
        self.stars.write(folder / FILES[2])
        calibration_figure(self).savefig(folder / FILES[3], dpi=150)


def _groups(stars: Table, reference_band: str) -> Iterator[tuple[str, Bool[np.ndarray, " star"]]]:
    """Names of groups and which stars belong to them, by data alone; without empty ones."""
    converged = np.asarray(stars["flags"]) & int(Flag.NOT_CONVERGED) == 0
    parallax = np.isfinite(np.asarray(stars["parallax"], float))
    groups = {ALL: np.ones(len(stars), bool), "converged": converged}
    groups |= {"with parallax": parallax, "without parallax": ~parallax}
    groups |= _bins(stars["brightness"], (12, 14, 16, 18), reference_band)
    if "logg_p50" in stars.colnames:
        groups |= _bins(stars["logg_p50"], (3.5,), "median logg")
    if "teff_p50" in stars.colnames:
        groups |= _bins(stars["teff_p50"], (4500, 5500), "median teff")
    groups |= _bins(np.abs(np.asarray(stars["glat"], float)), (10, 30, 60), "|b|")
    groups["no position"] = ~np.isfinite(np.asarray(stars["glat"], float))
    groups |= _bins(stars["n_bands"], (6, 10), "bands")
    return ((name, chosen) for name, chosen in groups.items() if chosen.any())


def _bins(values: Any, edges: tuple[float, ...], what: str) -> dict[str, Bool[np.ndarray, " star"]]:
    """Below the first edge, between each two, from the last on; NaN is in none."""
    values = np.asarray(values, float)
    bins = {f"{what} < {edges[0]:g}": values < edges[0]}
    for low, high in itertools.pairwise(edges):
        bins[f"{low:g} ≤ {what} < {high:g}"] = (values >= low) & (values < high)
    return bins | {f"{what} ≥ {edges[-1]:g}": values >= edges[-1]}


def _row(group: str, variable: str, pit: Float[np.ndarray, " star"]) -> dict[str, Any]:
    pit = pit[np.isfinite(pit)]
    row = {"group": group, "variable": variable, "num_stars": len(pit), "p_value": uniformity_p_value(pit)}
    row["mean_rank"] = float(np.mean(pit)) if len(pit) else np.nan
    for level in LEVELS:
        row[_column(level)], row[f"{_column(level)}_err"] = coverage(pit, level)
    return row


def _column(level: float) -> str:
    return f"coverage_{100 * level:.0f}"


def _percent(fraction: float, error: float) -> str:
    return f"{100 * fraction:.1f} ± {100 * error:.1f} %"


def _plain(value: Any) -> Any:
    """A Python number or string; None for NaN, which JSON has not."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
