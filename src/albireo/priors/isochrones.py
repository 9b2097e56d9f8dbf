"""How many stars of each kind a population holds, turned once from isochrones into a table.

    python -m albireo.priors.isochrones ISOCHRONES OUTPUT

reads PARSEC isochrones (Bressan et al. 2012, MNRAS 427, 127; columns MH, LOGAGE, MINI, INT_IMF, LOGTE, LOGG and LABEL
as their web form names them) and writes the number of living stars per star formed on nodes of metallicity, log₁₀ teff
and logg, for bins of age within which stars form at a constant rate. Points are weighted by the initial mass function
in INT_IMF. Between two isochrones stars of equal place within the same phase of evolution are joined, so that
sequences move from one metallicity or age to the next instead of fading into each other.
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
    number: Float[np.ndarray, " point"]


def load_populations() -> Float[np.ndarray, "age feh log_teff logg"]:
    """The table that comes with the package: living stars per star formed, by bin of age."""
    with np.load(POPULATIONS, allow_pickle=False) as file:
        return file["number"].astype(np.float64)


def tabulate(isochrones: Table) -> Float[np.ndarray, "age feh log_teff logg"]:
    """Living stars per star formed on the nodes, for every bin of age."""
    tracks = _read_tracks(isochrones)
    metallicities, log_ages = (np.unique(values) for values in zip(*tracks, strict=True))
    number = np.zeros((len(AGE_EDGES) - 1, FEH.num, LOG_TEFF.num, LOGG.num))
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
                        _deposit(number[bin_number, k], track)
    return number / _NUM_AGES


def _read_tracks(isochrones: Table) -> dict[tuple[float, float], dict[str, _Track]]:
    """Every isochrone, by metallicity and log age, as its phases."""
    columns = {name: np.asarray(isochrones[name], float) for name in isochrones.colnames}
    metallicity, log_age = columns["MH"].round(4), columns["LOGAGE"].round(4)
    tracks = {}
    for key in sorted(set(zip(metallicity.tolist(), log_age.tolist(), strict=True))):
        index = np.flatnonzero((metallicity == key[0]) & (log_age == key[1]))
        index = index[np.argsort(columns["MINI"][index], kind="stable")]
        tracks[key] = {
            phase: _resample({name: columns[name][points] for name in ("LOGTE", "LOGG", "INT_IMF")})
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
    return _Track(*(np.interp(even, along, values) for values in (log_teff, logg, number)))


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
    log_teff = sum(weight * track.log_teff for weight, track in tracks) / total
    logg = sum(weight * track.logg for weight, track in tracks) / total
    return _Track(np.asarray(log_teff), np.asarray(logg), np.asarray(sum(w * track.number for w, track in tracks)))


def _deposit(number: Float[np.ndarray, "log_teff logg"], track: _Track) -> None:
    """Share the stars between two points of a track among the four nodes about their middle."""
    x = (0.5 * (track.log_teff[1:] + track.log_teff[:-1]) - LOG_TEFF.first) / LOG_TEFF.step
    y = (0.5 * (track.logg[1:] + track.logg[:-1]) - LOGG.first) / LOGG.step
    inside = (x > 2) & (x < LOG_TEFF.num - 3) & (y > 2) & (y < LOGG.num - 3)
    x, y, stars = x[inside], y[inside], np.diff(track.number)[inside]
    i, j = x.astype(int), y.astype(int)
    for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
        np.add.at(number, (i + di, j + dj), stars * (1 - np.abs(x - i - di)) * (1 - np.abs(y - j - dj)))


if __name__ == "__main__":
    np.savez_compressed(sys.argv[2], number=tabulate(Table.read(sys.argv[1])).astype(np.float32))
