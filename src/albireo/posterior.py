"""Posterior: the draws of all stars, with their certificates, ready for ArviZ, tables and files."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Int

from albireo import flags
from albireo.catalog import Catalog
from albireo.certificate import certify
from albireo.device import in_few_sizes, in_parts
from albireo.errors import UserError
from albireo.groups import as_arviz, by_measurement, catalog_of, data_groups, dataset, draws_of, star_index
from albireo.likelihood import Star
from albireo.model import StellarModel, load_model
from albireo.outliers import hypotheses, name_outliers, with_outliers
from albireo.predictive import best, extinction, log_likelihood_of_draws, measure_again, outlier_probabilities
from albireo.priors import Prior, load_prior
from albireo.samplers import Batch, Draws, Problem
from albireo.statistics import STATISTICS, flat, resample, summarise
from albireo.summary import describe

if TYPE_CHECKING:
    from astropy.table import QTable

_FORMAT_VERSION = 1
_NUM_OF_BEST = 128  # draws of a star the best of which tells how well it is explained
# Without these nothing can be said of a star; `log_likelihood` and others are asked for where they are needed.
_GROUPS = ("posterior", "sample_stats", "observed_data", "constant_data")


class Posterior:
    """Draws from the posteriors of stars.

    Attributes:
        tree: groups of labelled arrays. `posterior` holds equally weighted draws over (chain, draw, star);
            `weighted_posterior`, where the sampler weights its draws, those draws and `log_weight`; `sample_stats`
            the sampler's statistics and every star's certificate; `observed_data` and `constant_data` what was
            measured.
        problem: the model and the prior; None after `load`.
    """

    def __init__(self, tree: xr.DataTree, problem: Problem | None = None) -> None:
        self.tree = tree
        self.problem = problem

    @classmethod
    def from_batch(cls, batch: Batch, catalog: Catalog, problem: Problem, metadata: dict[str, Any]) -> "Posterior":
        """Name, label and certify what a sampler returned for the stars of a catalogue."""
        model = problem.model
        fraction = float(metadata.get("outliers", 0))
        probability = outlier_probabilities(batch, catalog, model, fraction) if fraction else None
        stars = Star.from_catalog(with_outliers(catalog, probability), scatter=model.scatter)
        variables = dict(zip(model.labels, np.moveaxis(batch.draws.theta, -1, 0), strict=True)) | {
            "distance_modulus": batch.draws.mu,
            "reddening": batch.draws.reddening,
            "distance": 10 * 10 ** (batch.draws.mu / 5),
            "extinction": in_few_sizes(partial(extinction, model), batch.draws),
        }
        dims = ("star", "chain", "draw")
        drawn = dataset(variables, dims, catalog).transpose("chain", "draw", "star")
        groups = {"posterior": drawn}
        if batch.log_weight is not None:
            weighted = dataset(variables | {"log_weight": batch.log_weight}, dims, catalog)
            groups["weighted_posterior"] = weighted.transpose("chain", "draw", "star")
            groups["posterior"] = resample(drawn, batch.log_weight, metadata["seed"], catalog.row)
        step = max(batch.draws.mu[0].size // _NUM_OF_BEST, 1)
        some = draws_of(groups["posterior"].isel(draw=slice(None, None, step)), model.labels)
        chi2, not_found = in_few_sizes(partial(best, model), stars, some)
        stats = certify(batch, groups["posterior"], chi2, not_found, catalog, problem)
        if probability is not None:
            stats |= name_outliers(probability, catalog)
            stats["flags"] = stats["flags"] | np.where(stats["outlier"] != "", int(flags.Flag.OUTLIER), 0)
        groups["sample_stats"] = xr.merge(
            [
                dataset(batch.draw_stats, dims, catalog).transpose("chain", "draw", "star", missing_dims="ignore"),
                dataset(stats, ("star",), catalog),
            ]
        )
        groups |= data_groups(catalog)
        if probability is not None:
            coords = {"star": groups["posterior"]["star"], "band": list(model.bands)}
            of_bands = xr.Dataset({"outlier_probability": (("star", "band"), probability)}, coords)
            groups["sample_stats"] = xr.merge([groups["sample_stats"], of_bands])
        attrs = {name: str(value) for name, value in metadata.items()} | {
            "format": "albireo posterior",
            "format_version": _FORMAT_VERSION,
            "reference_band": model.bands[0],
            "labels": ",".join(model.labels),
            "spread": str(model.spread is not None),
            "flags": "; ".join(f"{bit} {name}: {text}" for bit, name, text in flags.describe_flags()),
        }
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = attrs
        return cls(tree, problem)

    def __len__(self) -> int:
        return self.tree["posterior"].sizes["star"]

    def __repr__(self) -> str:
        sizes = self.tree["posterior"].sizes
        return (
            f"<Posterior of {len(self)} stars, {sizes['chain']} chains of {sizes['draw']} draws: "
            f"{', '.join(self.variables)}; {int(np.sum(self.flags > 0))} flagged>"
        )

    def __getitem__(self, stars: str | int | slice | np.ndarray | list[str] | list[int]) -> "Posterior":
        """The posterior of some of the stars: an id, a place, a slice, a mask, or several ids or places.

        Raises:
            UserError: there is no such star.
        """
        if isinstance(stars, str | int | np.integer):
            index = np.array([self.index(stars if isinstance(stars, str) else int(stars))])
        elif isinstance(stars, slice):
            index = np.arange(len(self))[stars]
        elif np.asarray(stars).dtype.kind == "b":
            index = np.flatnonzero(stars)
        else:
            index = np.array([self.index(star.item()) for star in np.asarray(stars)], int)
        tree = xr.DataTree.from_dict(
            {name: node.to_dataset().isel(star=index) for name, node in self.tree.children.items()}
        )
        tree.attrs = self.tree.attrs
        return Posterior(tree, self.problem)

    def index(self, star: str | int) -> int:
        """The place of a star, by its id or its place.

        Raises:
            UserError: there is no such star.
        """
        return star_index(self.tree["posterior"]["star"].values, star)

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the sampled and derived variables."""
        return tuple(str(name) for name in self.tree["posterior"].data_vars)

    @property
    def flags(self) -> Int[np.ndarray, " star"]:
        """The flags of every star, see `albireo.flags`."""
        return np.asarray(self.tree["sample_stats"]["flags"])

    def log_likelihood(self) -> xr.Dataset:
        """Log-likelihood of every magnitude given the star's others, and of the parallax, at every draw.

        The model's scatter correlates the bands; a magnitude given all others is what leave-one-out cross-validation
        (`az.loo`) needs (Bürkner, Gabry & Vehtari 2021, Comput. Stat. 36, 1243). Without scatter it is the plain one,
        with `outliers` that of the mixture. A missing band has 0.
        """
        if "log_likelihood" in self.tree.children:
            return self.tree["log_likelihood"].to_dataset()
        stars, draws = self.stars_and_draws()
        if fraction := float(self.tree.attrs.get("outliers", 0)):
            every = hypotheses(catalog_of(self.tree), self.known_problem().model.scatter, fraction)
            stars = jax.tree.map(jnp.asarray, every)
        bands, parallax = log_likelihood_of_draws(self.known_problem().model, stars, draws)
        dims = ("star", "chain", "draw")
        shared = {name: self.tree["posterior"][name] for name in dims}
        group = xr.Dataset(
            {"magnitude": ((*dims, "band"), np.asarray(bands)), "parallax": (dims, np.asarray(parallax))},
            coords=shared | {"band": self.tree["observed_data"]["band"]},
        )
        return group.transpose("chain", "draw", "star", "band")

    def posterior_predictive(self, seed: int = 0) -> xr.Dataset:
        """Magnitudes [mag] and parallax [mas] as they would be measured again, one for every draw."""
        model, (_, draws) = self.known_problem().model, self.stars_and_draws()
        constant = self.tree["constant_data"]
        mag_err, parallax_err = np.asarray(constant["magnitude_err"]), np.asarray(constant["parallax_err"])
        mag, parallax = measure_again(model, draws, mag_err, parallax_err, np.random.default_rng(seed))
        dims = ("star", "chain", "draw")
        group = xr.Dataset(
            {"magnitude": ((*dims, "band"), mag, {"units": "mag"}), "parallax": (dims, parallax, {"units": "mas"})},
            coords={name: self.tree["posterior"][name] for name in dims} | {"band": self.tree["observed_data"]["band"]},
        )
        return group.transpose("chain", "draw", "star", "band")

    def to_arviz(self, *, posterior_predictive: bool = False) -> Any:
        """What the installed ArviZ works on: an `xarray.DataTree` (ArviZ ≥ 1) or an `InferenceData` (ArviZ 0.x).

        Bands in which no star was looked for are left out. `az.loo` and `az.compare` need a single variable without
        gaps, so `log_likelihood` here has that of the magnitudes alone, over `measurement`, each with star and band.

        Args:
            posterior_predictive: add the group of that name.
        """
        groups = self._groups()
        if posterior_predictive:
            groups["posterior_predictive"] = self.posterior_predictive()
        if "log_likelihood" in groups:
            groups["log_likelihood"] = by_measurement(groups["log_likelihood"], groups["observed_data"])
        catalog = catalog_of(self.tree)
        measured = (np.isfinite(catalog.mag) | np.isfinite(catalog.mag_limit)).any(axis=0)
        groups = {name: group.isel(band=measured, missing_dims="ignore") for name, group in groups.items()}
        return as_arviz(groups, self.tree.attrs)

    def reweight(self, prior: Prior | str | Path) -> "Posterior":
        """The posteriors under another prior, from these draws: nothing is sampled anew.

        Every draw is weighted by the ratio of the new prior to the old, with Pareto smoothing. `k_hat` and `ess_kish`,
        which counts the draws of chains by their effective sample size, say whether a star's draws can stand for its
        new posterior; where they cannot (above 0.7, below 400), or the draws had not converged, the star is flagged
        `not_converged` and has to be inferred again. A star none of whose draws the new prior allows is NaN.

        Args:
            prior: as in `infer`.

        Raises:
            UserError: there is no such prior, or this posterior does not know its model and prior.
        """
        from albireo.reweight import independent_draws, reweight_batch

        problem, catalog = self.known_problem(), catalog_of(self.tree)
        new = load_prior(prior, problem.model)
        group = self.sampled()
        # As one chain, for weighted draws of several chains are no chains any more.
        theta, mu, reddening = draws_of(group, problem.model.labels)
        shape = (len(self), 1, -1)
        draws = Draws(theta.reshape(*shape, theta.shape[-1]), mu.reshape(shape), reddening.reshape(shape))
        if "log_weight" in group:
            log_weight = flat(group["log_weight"]).reshape(shape)
        else:
            log_weight = np.full_like(draws.mu, -np.log(draws.mu.shape[2]), dtype=float)
        stats = self.tree["sample_stats"]
        kept = {name: stats[name].values for name in ("log_evidence", "log_evidence_err", "engine") if name in stats}
        position = np.stack([catalog.glon, catalog.glat], axis=-1)
        among_weighted = "weighted_posterior" in self.tree.children
        efficiency = independent_draws(stats, log_weight[:, 0], among_weighted=among_weighted) / draws.mu.shape[2]
        batch = reweight_batch(problem.prior, new, position, draws, log_weight, kept, efficiency)
        attrs = self.tree.attrs
        metadata = {name: attrs[name] for name in ("outliers", "double") if name in attrs}
        metadata |= {"sampler": f"{attrs['sampler']}, reweighted", "seed": int(attrs["seed"])}
        reweighted = Posterior.from_batch(batch, catalog, Problem(problem.model, new), metadata)
        # Weights do not mend what had not converged.
        lasting = self.flags & int(flags.Flag.NOT_CONVERGED | flags.Flag.DIVERGENT)
        reweighted.tree["sample_stats"]["flags"] |= lasting
        return reweighted

    def summary(self) -> "QTable":
        """One row a star: id, mean, standard deviation and percentiles of every variable, certificate, flags.

        Weighted draws enter with their weights.
        """
        from astropy.table import QTable

        table = QTable({"star": np.asarray(self.tree["posterior"]["star"])})
        group = self.sampled()
        weight = np.exp(flat(group["log_weight"])) if "log_weight" in group else None
        statistics = in_parts(_summarise_each, {name: flat(group[name]) for name in self.variables}, weight)
        for name in self.variables:
            unit = group[name].attrs.get("units", "")
            for statistic in STATISTICS:
                values = statistics[name][statistic]
                # No common file format has a unit "dex".
                table[f"{name}_{statistic}"] = values if unit in ("", "dex") else values << _unit(unit)
        stats = self.tree["sample_stats"]
        for name, variable in stats.data_vars.items():
            if variable.dims == ("star",):
                table[str(name)] = np.asarray(variable)
        for column in table.itercols():
            if column.dtype.kind == "f":
                column.info.format = ".5g"
        describe(table)
        table.meta = dict(self.tree.attrs)
        return table

    def save(self, path: str | Path) -> None:
        """Write everything to a netCDF file, or to a zarr folder if the path ends in `.zarr`; xarray opens both.

        Raises:
            UserError: zarr is not installed.
        """
        tree = xr.DataTree.from_dict(self._groups())
        tree.attrs = self.tree.attrs
        if _is_zarr(path):
            tree.to_zarr(path, mode="w", zarr_format=2)  # format 3 has no texts of a fixed length yet
        else:
            tree.to_netcdf(path, engine="h5netcdf")

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        model: StellarModel | str | Path | None = None,
        prior: Prior | str | Path | None = None,
    ) -> "Posterior":
        """Read what `save` wrote.

        Args:
            path: the file, or the zarr folder.
            model: the model it was inferred with; this and the prior are needed for predictions and to reweight.
            prior: the prior it was inferred with.

        Raises:
            UserError: no such file, no whole posterior of albireo, one of another model, or a model without its prior.
        """
        if (model is None) != (prior is None):
            raise UserError("Posterior.load needs both the model and the prior of the inference, or neither.")
        if not Path(path).exists():
            raise UserError(f"there is no posterior file {path}; `albireo infer` writes one.")
        engine = "zarr" if _is_zarr(path) else "h5netcdf"
        try:
            with xr.open_datatree(path, engine=engine) as tree:
                tree = tree.load()
        except (OSError, ValueError, KeyError) as error:
            name = "zarr" if engine == "zarr" else "netCDF"
            raise UserError(f"{path} cannot be read as {name} ({error}); run the inference again.") from None
        if tree.attrs.get("format") != "albireo posterior":
            raise UserError(f"{path} was not written by albireo; give the posterior.nc of a run.")
        if tree.attrs["format_version"] > _FORMAT_VERSION:
            raise UserError(f"{path} was written by a newer albireo; update albireo to read it.")
        if missing := [name for name in _GROUPS if name not in tree.children]:
            raise UserError(f"{path} has no group {missing[0]}, so it is not whole; run the inference again.")
        if model is None or prior is None:
            return cls(tree)
        model = model if isinstance(model, StellarModel) else load_model(model)
        bands = tuple(map(str, np.asarray(tree["observed_data"]["band"])))
        if (",".join(model.labels), model.bands) != (tree.attrs["labels"], bands):
            raise UserError(f"{path} was inferred with a model of other labels or bands; give that one.")
        model = model if tree.attrs.get("spread") == "True" else model.with_spread(None)
        return cls(tree, Problem(model, load_prior(prior, model)))

    def known_problem(self) -> Problem:
        """The model and the prior.

        Raises:
            UserError: the posterior was loaded without them.
        """
        if self.problem is None:
            raise UserError("this posterior was loaded without its model and prior; give both to Posterior.load.")
        return self.problem

    def _groups(self) -> dict[str, xr.Dataset]:
        """All groups that can be had without chance."""
        groups = {name: node.to_dataset() for name, node in self.tree.children.items()}
        return groups if self.problem is None else groups | {"log_likelihood": self.log_likelihood()}

    def sampled(self) -> xr.Dataset:
        """The draws as they were sampled, with `log_weight` where they are weighted."""
        name = "weighted_posterior" if "weighted_posterior" in self.tree.children else "posterior"
        return self.tree[name].to_dataset()

    def stars_and_draws(self) -> tuple[Star, Draws]:
        """The stars as the likelihood takes them, and the equally weighted draws, axes (star, chain, draw).

        Raises:
            UserError: the posterior does not know its model.
        """
        model = self.known_problem().model
        stars = Star.from_catalog(catalog_of(self.tree), scatter=model.scatter)
        draws = draws_of(self.tree["posterior"].to_dataset(), model.labels)
        return jax.tree.map(jnp.asarray, (stars, draws))


def _is_zarr(path: str | Path) -> bool:
    """Whether a path is of a zarr folder, for which the package must be there."""
    if Path(path).suffix != ".zarr":
        return False
    if find_spec("zarr") is None:
        raise UserError("zarr is not installed; `pip install 'albireo[zarr]'`, or give a path that ends in .nc.")
    return True


def _summarise_each(variables, weight):
    return {name: summarise(values, weight) for name, values in variables.items()}


def _unit(unit: str):
    import astropy.units as u

    return u.Unit(unit)
