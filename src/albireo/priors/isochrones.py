"""How many stars of each kind a population holds, turned once from isochrones into a table.

    python -m albireo.priors.isochrones ISOCHRONES OUTPUT

reads PARSEC isochrones (Bressan et al. 2012, MNRAS 427, 127; columns MH, LOGAGE, MINI, INT_IMF, LOGTE, LOGG and LABEL
as their web form names them) and writes the number of living stars per star formed, and their mean initial mass, on
nodes of metallicity, log₁₀ teff and logg, for bins of age within which stars form at a constant rate. Points are
weighted by the initial mass function in INT_IMF, which is that of Kroupa (2001); by their masses the numbers are
brought to another (`initial_mass.py`). Between two isochrones stars of equal place within the same phase of evolution
are joined, so that sequences move from one metallicity or age to the next instead of fading into each other.
"""

import sys
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from astropy.table import Table
from jaxtyping import Float, Int


class Axis(NamedTuple):
    """Evenly spaced nodes."""

    first: float
    step: float
    num: int

    @property
    def nodes(self) -> Float[np.ndarray, " node"]:
        """Their places."""
        return self.first + self.step * np.arange(self.num)


AGE_EDGES = (0.0, 0.15, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 12.0, 14.0)  # [Gyr]: those of the Besançon model, and two more
FEH = Axis(-2.2, 0.1, 26)
LOG_TEFF = Axis(3.34, 0.01, 88)
LOGG = Axis(-0.76, 0.08, 82)
POPULATIONS = Path(__file__).parents[1] / "data" / "populations.npz"

_NUM_POINTS = 300
_NUM_AGES = 16
# What PARSEC's labels stand for; 9, after the asymptotic giant branch, is left out.
_PHASES = {
    "to the turn-off": (0, 1),
    "subgiant branch": (2,),
    "red giant branch": (3,),
    "core helium burning": (4, 5, 6),
    "asymptotic giant branch": (7, 8),
}
# A phase follows on the one before it without a gap, but for the jump at the helium flash.
_AFTER_A_JUMP = "core helium burning"


class _Track(NamedTuple):
    """A phase of an isochrone at even steps along it: where it runs and how many stars lie before each point."""

    log_teff: Float[np.ndarray, " point"]
    logg: Float[np.ndarray, " point"]
    mass: Float[np.ndarray, " point"]
    number: Float[np.ndarray, " point"]


class Populations(NamedTuple):
    """Stars on the nodes, by bin of age.

    Attributes:
        number: living stars per star formed.
        mass: their mean initial mass [solar masses]; 0 where there are none.
    """

    number: Float[np.ndarray, "age feh log_teff logg"]
    mass: Float[np.ndarray, "age feh log_teff logg"]


def load_populations() -> Populations:
    """The table that comes with the package."""
    with np.load(POPULATIONS, allow_pickle=False) as file:
        return Populations(*(file[name].astype(np.float64) for name in Populations._fields))


def tabulate(isochrones: Table) -> Populations:
    """The stars of these isochrones on the nodes, for every bin of age."""
    tracks = _read_tracks(isochrones)
    metallicities, log_ages = (np.unique(values) for values in zip(*tracks, strict=True))
    number, mass = np.zeros((2, len(AGE_EDGES) - 1, FEH.num, LOG_TEFF.num, LOGG.num))
    for k, feh in enumerate(FEH.nodes):
        for bin_number, (low, high) in enumerate(pairwise(AGE_EDGES)):
            for age in low + (high - low) * (np.arange(_NUM_AGES) + 0.5) / _NUM_AGES:
                corners = [
                    (weight_m * weight_t, tracks[m, t])
                    for m, weight_m in _bracket(metallicities, feh)
                    for t, weight_t in _bracket(log_ages, 9 + np.log10(age))
                ]
                for phase in _PHASES:
                    track = _blend([(weight, phases[phase]) for weight, phases in corners if phase in phases])
                    if track is not None:
                        _deposit(number[bin_number, k], mass[bin_number, k], track)
    return Populations(number / _NUM_AGES, mass / np.where(number > 0, number, 1))


def _read_tracks(isochrones: Table) -> dict[tuple[float, float], dict[str, _Track]]:
    """Every isochrone, by metallicity and log age, as its phases."""
    columns = {name: np.asarray(isochrones[name], float) for name in isochrones.colnames}
    metallicity, log_age = columns["MH"].round(4), columns["LOGAGE"].round(4)
    tracks = {}
    for key in sorted(set(zip(metallicity.tolist(), log_age.tolist(), strict=True))):
        index = np.flatnonzero((metallicity == key[0]) & (log_age == key[1]))
        index = index[np.argsort(columns["MINI"][index], kind="stable")]
        tracks[key] = {
            phase: _resample({name: columns[name][points] for name in ("LOGTE", "LOGG", "MINI", "INT_IMF")})
            for phase in _PHASES
            if len(points := _points_of(columns["LABEL"][index], index, phase)) > 1
        }
    return tracks


def _points_of(
    label: Float[np.ndarray, " point"], index: Int[np.ndarray, " point"], phase: str
) -> Int[np.ndarray, " point"]:
    """The points of a phase, and the last one before it."""
    inside = np.flatnonzero(np.isin(label, _PHASES[phase]))
    if not len(inside):
        return inside
    first = inside[0] if phase == _AFTER_A_JUMP else max(inside[0] - 1, 0)
    return index[first : inside[-1] + 1]


def _resample(columns: dict[str, Float[np.ndarray, " point"]]) -> _Track:
    log_teff, logg = columns["LOGTE"], columns["LOGG"]
    length = np.hypot(np.diff(log_teff) / LOG_TEFF.step, np.diff(logg) / LOGG.step)
    along = np.concatenate([[0.0], np.cumsum(length + 1e-6)])
    even = np.linspace(0, along[-1], _NUM_POINTS + 1)
    number = columns["INT_IMF"] - columns["INT_IMF"][0]
    return _Track(*(np.interp(even, along, values) for values in (log_teff, logg, columns["MINI"], number)))


def _bracket(nodes: Float[np.ndarray, " node"], x: float) -> list[tuple[float, float]]:
    """The nodes on both sides of x and their weights; the end node beyond the ends."""
    x = np.clip(x, nodes[0], nodes[-1])
    i = int(np.clip(np.searchsorted(nodes, x) - 1, 0, len(nodes) - 2))
    t = (x - nodes[i]) / (nodes[i + 1] - nodes[i])
    return [(float(nodes[i]), 1 - t), (float(nodes[i + 1]), t)]


def _blend(tracks: list[tuple[float, _Track]]) -> _Track | None:
    """The track between these: a phase that some of them lack holds so many fewer stars."""
    total = sum(weight for weight, _ in tracks)
    if not total:
        return None
    log_teff, logg, mass, number = np.asarray(sum(weight * np.stack(track) for weight, track in tracks))
    return _Track(log_teff / total, logg / total, mass / total, number)


def _deposit(
    number: Float[np.ndarray, "log_teff logg"], mass: Float[np.ndarray, "log_teff logg"], track: _Track
) -> None:
    """Share the stars between two points of a track, and their masses, among the four nodes about their middle."""
    log_teff, logg, middle = (0.5 * (values[1:] + values[:-1]) for values in track[:-1])
    x, y = (log_teff - LOG_TEFF.first) / LOG_TEFF.step, (logg - LOGG.first) / LOGG.step
    inside = (x > 2) & (x < LOG_TEFF.num - 3) & (y > 2) & (y < LOGG.num - 3)
    x, y, stars, middle = x[inside], y[inside], np.diff(track.number)[inside], middle[inside]
    i, j = x.astype(int), y.astype(int)
    for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = stars * (1 - np.abs(x - i - di)) * (1 - np.abs(y - j - dj))
        np.add.at(number, (i + di, j + dj), share)
        np.add.at(mass, (i + di, j + dj), share * middle)


if __name__ == "__main__":
    number, mass = tabulate(Table.read(sys.argv[1]))
    np.savez_compressed(sys.argv[2], number=number.astype(np.float32), mass=mass.astype(np.float16))
