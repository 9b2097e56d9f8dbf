"""What the report page shows of every star, as plain values for JSON and one block of packed draws."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from albireo.bands import band_text, in_order
from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.figures.diagrams import choose_color, extinction_of, locus
from albireo.fit import fit_of_magnitudes
from albireo.flags import describe_flags
from albireo.groups import UNITS
from albireo.posterior import Posterior
from albireo.report.prior import PriorCounts
from albireo.report.words import certificate_in_words
from albireo.runs import Run

# All draws together take at most so many bytes, and a star at most so many draws.
_BYTES_OF_DRAWS, _MAX_DRAWS = 12_000_000, 600
# Browsers draw every point by itself.
_MAX_LOCUS = 800
_DIGITS = {"teff": 0, "distance": 0, "chi2": 1} | dict.fromkeys(("logg", "feh", "distance_modulus"), 2)
_DERIVED = ("distance_modulus", "reddening", "distance", "extinction")
_WITHOUT_POSTERIOR = "This star has no posterior."
_WITHOUT_DRAWS = "This run kept no draws of this star: infer the stars again with --draws to see them here."
_WITHOUT_DRAWS_OF_HATS = "This run is of a HATS catalogue and kept no draws: infer this star from a table of its own."


def stars_of_run(run: Run) -> tuple[dict[str, Any], bytes]:
    """Everything that the page's script reads: values for JSON, and the draws of corner plots, two bytes each.

    What cannot be shown is a text instead, which says why and what to do.
    """
    summary = run.summary
    variables = [str(name).removesuffix("_p50") for name in summary.columns if str(name).endswith("_p50")]
    content = {
        "stars": [str(star) for star in summary["star"]],
        "flags": summary["flags"].tolist(),
        "withoutPosterior": _WITHOUT_POSTERIOR,
        "flagNames": [[bit, name, text] for bit, name, text in describe_flags()],
        "variables": [_variable(summary, name) for name in variables],
        "columns": [_column(summary, name) for name in ("chi2", "n_bands", "engine") if name in summary],
        "certificates": [" ".join(certificate_in_words(row)) for row in summary.to_dict("records")],
    }
    names = [*(name for name in variables if name not in _DERIVED), "distance", "reddening"]
    packed = _PackedDraws(names, len(summary))
    fits, priors = _Fits(len(summary)), PriorCounts(names, len(summary))
    try:
        problem, why_not = run.problem(), ""
    except UserError as error:
        problem, why_not = None, str(error)
    observed = _Observed(len(summary))
    for places, posterior in run.posteriors():
        packed.add(places, posterior)
        observed.add(places, posterior)
        if problem is not None:
            fits.add(places, posterior)
            priors.add(places, posterior, problem, packed.ranges)
    missing = _WITHOUT_DRAWS_OF_HATS if run.of_hats else _WITHOUT_DRAWS
    content["corner"] = packed.described(missing)
    content["prior"] = priors.described()
    content["sed"] = why_not or fits.described(missing) or missing
    content["color"] = _color_magnitude(run, problem.model, observed) if problem else why_not
    content["truth"] = _known_labels(run, names)
    return content, packed.bytes()


def numbers(values: Any, digits: int) -> list:
    """Rounded numbers, None where there is none."""
    rounded = np.round(np.asarray(values, float), digits)
    plain = rounded.astype(object)
    plain[~np.isfinite(rounded)] = None
    return plain.tolist()


def _variable(summary: pd.DataFrame, name: str) -> dict[str, Any]:
    digits = _DIGITS.get(name, 3)
    low, middle, high, std = (numbers(summary[f"{name}_{part}"], digits) for part in ("p16", "p50", "p84", "std"))
    described = {"name": name, "unit": UNITS.get(name, ""), "digits": digits}
    return described | {"low": low, "middle": middle, "high": high, "std": std}


def _column(summary: pd.DataFrame, name: str) -> dict[str, Any]:
    if name == "engine":
        return {"name": name, "values": summary[name].astype(str).tolist()}
    digits = _DIGITS.get(name, 0)
    return {"name": name, "digits": digits, "values": numbers(summary[name], digits)}


class _PackedDraws:
    """Thinned draws of every star, each variable over its own range in steps of 1/65535 of it."""

    def __init__(self, names: Sequence[str], num_stars: int) -> None:
        self.names = names
        # A multiple of three: a star's bytes are then whole groups of four characters in base64.
        fitting = _BYTES_OF_DRAWS // (2 * len(names) * max(num_stars, 1))
        self.num = 3 * (min(fitting, _MAX_DRAWS) // 3)
        self._place = np.full(num_stars, -1)
        self.ranges: list = [None] * num_stars
        self._parts: list[bytes] = []

    def add(self, places: np.ndarray, posterior: Posterior) -> None:
        group = posterior.tree["posterior"].to_dataset().transpose("star", "chain", "draw")
        values = np.stack([group[name].values.reshape(len(places), -1) for name in self.names], axis=1)
        values = values[:, :, np.linspace(0, values.shape[2] - 1, self.num).astype(int)].astype(float)
        for place, draws in zip(places, values, strict=True):
            if np.isfinite(draws).all():
                low, high = draws.min(axis=1), draws.max(axis=1)
                width = np.maximum(high - low, 1e-12)[:, None]
                self._place[place] = len(self._parts)
                self.ranges[place] = [[float(f"{x:.7g}") for x in pair] for pair in zip(low, high, strict=True)]
                self._parts.append(np.round(65535 * (draws - low[:, None]) / width).astype("<u2").tobytes())

    def described(self, missing: str) -> dict[str, Any]:
        units = [UNITS.get(name, "") for name in self.names]
        shared = {"names": list(self.names), "units": units, "num": self.num, "missing": missing}
        return shared | {"place": self._place.tolist(), "ranges": self.ranges}

    def bytes(self) -> bytes:
        return b"".join(self._parts)


class _Fits:
    """Magnitudes of every star with what its posterior predicts, bands in order of wavelength."""

    def __init__(self, num_stars: int) -> None:
        self._bands: list[str] = []
        self._stars: list = [None] * num_stars

    def add(self, places: np.ndarray, posterior: Posterior) -> None:
        fit = fit_of_magnitudes(posterior)
        self._bands = in_order([str(band) for band in fit["band"].values])
        fit = fit.sel(band=self._bands).transpose("star", "quantile", "band")
        for i, place in enumerate(places):
            one = fit.isel(star=i)
            if np.isfinite(one["predicted"]).any():
                self._stars[place] = {
                    "mag": numbers(one["magnitude"], 3),
                    "err": numbers(one["magnitude_err"], 3),
                    "predicted": numbers(one["predicted"], 3),
                    "residual": numbers(one["residual"], 2),
                }
                if np.isfinite(one["magnitude_limit"]).any():
                    self._stars[place]["limit"] = numbers(one["magnitude_limit"], 3)

    def described(self, missing: str) -> dict[str, Any] | None:
        if not self._bands:
            return None
        return {"bands": self._bands, "stars": self._stars, "missing": missing}


class _Observed:
    """Magnitudes of the stars whose draws the run kept, which hold what was measured."""

    def __init__(self, num_stars: int) -> None:
        self._num, self.complete = num_stars, np.zeros(num_stars, bool)
        self.mag = np.empty((num_stars, 0))

    def add(self, places: np.ndarray, posterior: Posterior) -> None:
        mag = posterior.tree["observed_data"]["magnitude"].transpose("star", "band").values
        if not self.mag.size:
            self.mag = np.full((self._num, mag.shape[1]), np.nan)
        self.mag[places], self.complete[places] = mag, True


def _color_magnitude(run: Run, model, observed: _Observed) -> dict[str, Any] | str:
    """Colours and absolute magnitudes, from what the draws' files hold or from the run's input."""
    try:
        mag = observed.mag if observed.complete.all() else run.catalog().select_bands(model.bands).mag
        places = choose_color(model.bands, np.isfinite(mag))
    except UserError as error:
        return str(error)
    blue, red, bright = places
    model_color, model_magnitude = (values[:_MAX_LOCUS] for values in locus(model, places))
    reddening = np.array(extinction_of(model, places), float)
    return {
        "x": numbers(mag[:, blue] - mag[:, red], 3),
        "y": numbers(mag[:, bright] - run.summary["distance_modulus_p50"].to_numpy(float), 3),
        "xTitle": f"{band_text(model.bands[blue], model.bands[red])} [mag]",
        "yTitle": f"{band_text(model.bands[bright])} − distance modulus [mag]",
        "arrow": numbers(reddening, 3),
        "locus": [numbers(model_color, 2), numbers(model_magnitude, 2)],
    }


def _known_labels(run: Run, names: Sequence[str]) -> dict[str, list]:
    """Labels that the run's input knows, by name; nothing where it has none or is not there any more."""
    try:
        catalog: Catalog = run.catalog()
    except UserError:
        return {}
    known = dict(zip(catalog.labels, catalog.theta.T, strict=True))
    return {
        name: numbers(values, _DIGITS.get(name, 3))
        for name, values in known.items()
        if name in names and np.isfinite(values).any()
    }
