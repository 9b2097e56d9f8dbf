"""Posterior: the draws of all stars, with their certificates, ready for ArviZ, tables and files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from astropy.table import Table
from jaxtyping import Array, Float, Int

from albireo import flags
from albireo.catalog import Catalog
from albireo.certificate import certify
from albireo.errors import UserError
from albireo.likelihood import Star, log_likelihood_bands, log_likelihood_parallax, parallax_from_distance_modulus
from albireo.model import StellarModel, load_model
from albireo.priors import Prior, load_prior
from albireo.samplers import Batch, Draws, Problem

if TYPE_CHECKING:
    from astropy.table import QTable

UNITS = {"teff": "K", "logg": "dex", "feh": "dex"} | {
    "distance_modulus": "mag",
    "reddening": "mag",
    "distance": "pc",
    "extinction": "mag",
}
_FORMAT_VERSION = 1
_PERCENTILES = {"p16": 0.16, "p50": 0.50, "p84": 0.84}


class Posterior:
    """Draws from the posteriors of stars.

    Attributes:
        tree: groups of labelled arrays. `posterior` holds equally weighted draws over (chain, draw, star);
            `weighted_posterior`, where
            the sampler weights its draws, those draws and `log_weight`; `sample_stats` the sampler's statistics and
            every star's certificate; `observed_data` and `constant_data` what was measured.
        problem: the model and the prior; None after `load`.
    """

    def __init__(self, tree: xr.DataTree, problem: Problem | None = None) -> None:
        self.tree = tree
        self.problem = problem

    @classmethod
    def from_batch(cls, batch: Batch, catalog: Catalog, problem: Problem, metadata: dict[str, Any]) -> "Posterior":
        """Name, label and certify what a sampler returned for the stars of a catalogue."""
        model = problem.model
        stars = Star.from_catalog(catalog, scatter=problem.model.scatter)
        derived = _derive(problem, jax.tree.map(jnp.asarray, stars), batch.draws)
        variables = dict(zip(model.labels, np.moveaxis(batch.draws.theta, -1, 0), strict=True)) | {
            "distance_modulus": batch.draws.mu,
            "reddening": batch.draws.reddening,
            "distance": 10 * 10 ** (batch.draws.mu / 5),
            "extinction": derived["extinction"],
        }
        dims = ("star", "chain", "draw")
        drawn = _dataset(variables, dims, catalog).transpose("chain", "draw", "star")
        groups = {"posterior": drawn}
        if batch.log_weight is not None:
            weighted = _dataset(variables | {"log_weight": batch.log_weight}, dims, catalog)
            groups["weighted_posterior"] = weighted.transpose("chain", "draw", "star")
            groups["posterior"] = _resample(drawn, batch.log_weight, metadata["seed"], catalog.row)
        stats = certify(
            batch, groups["posterior"], _least_chi2(np.asarray(derived["chi2"]), batch.log_weight), catalog, problem
        )
        groups["sample_stats"] = xr.merge(
            [
                _dataset(batch.draw_stats, dims, catalog).transpose("chain", "draw", "star"),
                _dataset(stats, ("star",), catalog),
            ]
        )
        groups |= _data_groups(catalog)
        attrs = {name: str(value) for name, value in metadata.items()} | {
            "format": "albireo posterior",
            "format_version": _FORMAT_VERSION,
            "reference_band": model.bands[0],
            "labels": ",".join(model.labels),
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

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the sampled and derived variables."""
        return tuple(str(name) for name in self.tree["posterior"].data_vars)

    @property
    def flags(self) -> Int[np.ndarray, " star"]:
        """The flags of every star, see `albireo.flags`."""
        return np.asarray(self.tree["sample_stats"]["flags"])

    def log_likelihood(self) -> xr.Dataset:
        """Log-likelihood of every magnitude and of the parallax at every draw.

        A magnitude's is given those of the bands before it, for the model's scatter correlates them: the sum over the
        bands is the log-likelihood of the star, the single ones depend on the order of the bands.
        """
        if "log_likelihood" in self.tree.children:
            return self.tree["log_likelihood"].to_dataset()
        stars, draws = self._stars_and_draws()
        bands, parallax = _log_likelihood(self._problem().model, stars, draws)
        dims = ("star", "chain", "draw")
        shared = {name: self.tree["posterior"][name] for name in dims}
        dataset = xr.Dataset(
            {"magnitude": ((*dims, "band"), np.asarray(bands)), "parallax": (dims, np.asarray(parallax))},
            coords=shared | {"band": self.tree["observed_data"]["band"]},
        )
        return dataset.transpose("chain", "draw", "star", "band")

    def posterior_predictive(self, seed: int = 0) -> xr.Dataset:
        """Magnitudes [mag] and parallax [mas] as they would be measured again, one for every draw."""
        model, (_, draws) = self._problem().model, self._stars_and_draws()
        mag, parallax = _predict(model, draws)
        rng = np.random.default_rng(seed)
        constant = self.tree["constant_data"]
        mag_err, parallax_err = np.asarray(constant["magnitude_err"]), np.asarray(constant["parallax_err"])
        mag = mag + rng.normal(size=mag.shape) * mag_err[:, None, None]
        if model.scatter is not None:
            own, shared = np.asarray(model.scatter.own), np.asarray(model.scatter.shared)
            mag = mag + rng.normal(size=mag.shape) * own
            mag = mag + rng.normal(size=(*mag.shape[:-1], shared.shape[1])) @ shared.T
        parallax = parallax + rng.normal(size=parallax.shape) * parallax_err[:, None, None]
        dims = ("star", "chain", "draw")
        dataset = xr.Dataset(
            {"magnitude": ((*dims, "band"), mag), "parallax": (dims, parallax)},
            coords={name: self.tree["posterior"][name] for name in dims} | {"band": self.tree["observed_data"]["band"]},
        )
        return dataset.transpose("chain", "draw", "star", "band")

    def to_arviz(self, *, posterior_predictive: bool = False) -> Any:
        """What the installed ArviZ works on: an `xarray.DataTree` (ArviZ ≥ 1) or an `InferenceData` (ArviZ 0.x).

        Args:
            posterior_predictive: add the group of that name.
        """
        groups = {name: node.to_dataset() for name, node in self.tree.children.items()}
        if self.problem is not None:
            groups["log_likelihood"] = self.log_likelihood()
        if posterior_predictive:
            groups["posterior_predictive"] = self.posterior_predictive()
        import arviz as az

        if int(az.__version__.split(".")[0]) >= 1:
            tree = xr.DataTree.from_dict(groups)
            tree.attrs = self.tree.attrs
            return tree
        return az.InferenceData(attrs=dict(self.tree.attrs), warn_on_custom_groups=False, **groups)

    def reweight(self, prior: Prior | str | Path) -> "Posterior":
        """The posteriors under another prior, from these draws: nothing is sampled anew.

        Every draw is weighted by the ratio of the new prior to the old, with Pareto smoothing. `k_hat` and `ess_kish`
        say whether a star's draws can stand for its new posterior; where they cannot (above 0.7, below 400), the star
        is flagged `not_converged` and has to be inferred again. A star none of whose draws the new prior allows is NaN.

        Args:
            prior: as in `infer`.

        Raises:
            UserError: there is no such prior, or this posterior does not know its model and prior.
        """
        from albireo.reweight import reweight_batch

        problem, catalog = self._problem(), self._catalog()
        new = load_prior(prior, problem.model)
        group = self.tree["weighted_posterior" if "weighted_posterior" in self.tree.children else "posterior"]
        # As one chain, for weighted draws of several chains are no chains any more.
        theta, mu, reddening = self._draws(group.to_dataset())
        shape = (len(self), 1, -1)
        draws = Draws(theta.reshape(*shape, theta.shape[-1]), mu.reshape(shape), reddening.reshape(shape))
        if "log_weight" in group:
            log_weight = _flat(group["log_weight"]).reshape(shape)
        else:
            log_weight = np.full_like(draws.mu, -np.log(draws.mu.shape[2]), dtype=float)
        stats = self.tree["sample_stats"]
        evidence = {name: stats[name].values for name in ("log_evidence", "log_evidence_err") if name in stats}
        position = np.stack([catalog.glon, catalog.glat], axis=-1)
        batch = reweight_batch(problem.prior, new, position, draws, log_weight, evidence)
        metadata = {"sampler": f"{self.tree.attrs['sampler']}, reweighted", "seed": int(self.tree.attrs["seed"])}
        return Posterior.from_batch(batch, catalog, Problem(problem.model, new), metadata)

    def summary(self) -> "QTable":
        """One row a star: id, mean, standard deviation and percentiles of every variable, certificate, flags.

        Weighted draws enter with their weights.
        """
        from astropy.table import QTable

        table = QTable({"star": np.asarray(self.tree["posterior"]["star"])})
        group = self.tree["weighted_posterior" if "weighted_posterior" in self.tree.children else "posterior"]
        weight = np.exp(_flat(group["log_weight"])) if "log_weight" in group else None
        for name in self.variables:
            columns = _summarise(_flat(group[name]), weight)
            unit = group[name].attrs.get("units", "")
            for statistic, values in columns.items():
                # No common file format has a unit "dex".
                table[f"{name}_{statistic}"] = values if unit in ("", "dex") else values << _unit(unit)
        stats = self.tree["sample_stats"]
        for name, variable in stats.data_vars.items():
            if variable.dims == ("star",):
                table[str(name)] = np.asarray(variable)
        table.meta = dict(self.tree.attrs)
        return table

    def save(self, path: str | Path) -> None:
        """Write everything to one netCDF file, which ArviZ and xarray open too."""
        groups = {name: node.to_dataset() for name, node in self.tree.children.items()}
        if self.problem is not None:
            groups["log_likelihood"] = self.log_likelihood()
        tree = xr.DataTree.from_dict(groups)
        tree.attrs = self.tree.attrs
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
            path: the file.
            model: the model it was inferred with; this and the prior are needed for predictions and to reweight.
            prior: the prior it was inferred with.

        Raises:
            UserError: no such file, not a posterior of albireo, one of another model, or a model without its prior.
        """
        if (model is None) != (prior is None):
            raise UserError("Posterior.load needs both the model and the prior of the inference, or neither.")
        if not Path(path).is_file():
            raise UserError(f"there is no posterior file {path}; `albireo infer` writes one.")
        try:
            with xr.open_datatree(path, engine="h5netcdf") as tree:
                tree = tree.load()
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path} cannot be read as netCDF ({error}); run the inference again.") from None
        if tree.attrs.get("format") != "albireo posterior":
            raise UserError(f"{path} was not written by albireo; give the posterior.nc of a run.")
        if tree.attrs["format_version"] > _FORMAT_VERSION:
            raise UserError(f"{path} was written by a newer albireo; update albireo to read it.")
        if model is None or prior is None:
            return cls(tree)
        model = model if isinstance(model, StellarModel) else load_model(model)
        bands = tuple(map(str, np.asarray(tree["observed_data"]["band"])))
        if (",".join(model.labels), model.bands) != (tree.attrs["labels"], bands):
            raise UserError(f"{path} was inferred with a model of other labels or bands; give that one.")
        return cls(tree, Problem(model, load_prior(prior, model)))

    def _problem(self) -> Problem:
        if self.problem is None:
            raise UserError("this posterior was loaded without its model and prior; give both to Posterior.load.")
        return self.problem

    def _catalog(self) -> Catalog:
        """The stars, as far as they are needed to judge other draws."""
        data, constant = self.tree["observed_data"], self.tree["constant_data"]
        labels, num = tuple(self.tree.attrs["labels"].split(",")), len(self)
        unknown = np.full(num, np.nan)
        return Catalog(
            bands=tuple(map(str, np.asarray(data["band"]))),
            labels=labels,
            mag=data["magnitude"].values,
            mag_err=constant["magnitude_err"].values,
            parallax=data["parallax"].values,
            parallax_err=constant["parallax_err"].values,
            glon=constant["glon"].values,
            glat=constant["glat"].values,
            theta=np.full((num, len(labels)), np.nan),
            theta_cov=np.full((num, len(labels), len(labels)), np.nan),
            reddening=unknown,
            reddening_err=unknown,
            ids=data["star"].values,
            row=constant["row"].values,
            bad_input=(self.flags & int(flags.Flag.BAD_INPUT)) > 0,
            extra=Table(),
        )

    def _draws(self, group: xr.Dataset) -> Draws:
        """The draws of a group, axes (star, chain, draw)."""
        drawn = group.transpose("star", "chain", "draw")
        theta = np.stack([drawn[label] for label in self.tree.attrs["labels"].split(",")], axis=-1)
        return Draws(theta, np.asarray(drawn["distance_modulus"]), np.asarray(drawn["reddening"]))

    def _stars_and_draws(self) -> tuple[Star, Draws]:
        data, constant = self.tree["observed_data"], self.tree["constant_data"]
        measured = data["magnitude"], constant["magnitude_err"], data["parallax"], constant["parallax_err"]
        stars = Star.from_measurements(*measured, scatter=self._problem().model.scatter)
        return jax.tree.map(jnp.asarray, (stars, self._draws(self.tree["posterior"].to_dataset())))


@eqx.filter_jit
def _derive(problem: Problem, stars: Star, draws: Draws) -> dict[str, Array]:
    """Extinction in the reference band and χ² of the photometry at every draw."""

    def one(args):
        star, draws = args
        extinction = draws.reddening * problem.model.extinction_vector(draws.theta)[..., 0]
        residual = star.mag - problem.model.magnitudes(draws.theta, draws.mu, draws.reddening)
        return {"extinction": extinction, "chi2": jnp.sum(star.whiten(residual) ** 2, axis=-1)}

    return jax.lax.map(one, (stars, jax.tree.map(jnp.asarray, draws)), batch_size=16)


def _least_chi2(chi2: Float[np.ndarray, "star chain draw"], log_weight: Float[np.ndarray, "star chain draw"] | None):
    """The best draw's χ², among those that weigh more than a thousandth of the average."""
    if log_weight is not None:
        chi2 = np.where(log_weight > -np.log(1000 * log_weight[0].size), chi2, np.inf)
    least = chi2.min(axis=(1, 2))
    return np.where(np.isfinite(least), least, np.nan)


@eqx.filter_jit
def _log_likelihood(model, stars: Star, draws: Draws):
    def one(star, draw):
        bands = log_likelihood_bands(model, star, draw.theta, draw.mu, draw.reddening)
        return bands, log_likelihood_parallax(star, draw.mu)

    over_draws = jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(None, 0))
    return jax.lax.map(lambda args: over_draws(*args), (stars, draws), batch_size=16)


@eqx.filter_jit
def _predict(model, draws: Draws):
    return model.magnitudes(draws.theta, draws.mu, draws.reddening), parallax_from_distance_modulus(draws.mu)


def _dataset(variables: dict[str, np.ndarray], dims: tuple[str, ...], catalog: Catalog) -> xr.Dataset:
    arrays = {name: (dims, np.asarray(values), _attributes(name)) for name, values in variables.items()}
    return xr.Dataset(arrays, coords=_coordinates(dims, arrays, catalog))


def _coordinates(dims, arrays, catalog: Catalog):
    shape = next(iter(arrays.values()))[1].shape if arrays else ()
    counted = {dim: np.arange(n) for dim, n in zip(dims, shape, strict=False) if dim != "star"}
    return counted | {"star": np.asarray(catalog.ids).astype(str)}


def _attributes(name: str) -> dict[str, str]:
    return {"units": UNITS[name]} if name in UNITS else {}


def _data_groups(catalog: Catalog) -> dict[str, xr.Dataset]:
    coords = {"star": np.asarray(catalog.ids).astype(str), "band": list(catalog.bands)}
    mag, mas, deg = {"units": "mag"}, {"units": "mas"}, {"units": "deg"}
    observed = {
        "magnitude": (("star", "band"), catalog.mag, mag),
        "parallax": ("star", catalog.parallax, mas),
    }
    constant = {
        "magnitude_err": (("star", "band"), catalog.mag_err, mag),
        "parallax_err": ("star", catalog.parallax_err, mas),
        "glon": ("star", catalog.glon, deg),
        "glat": ("star", catalog.glat, deg),
        "row": ("star", catalog.row),
    }
    return {"observed_data": xr.Dataset(observed, coords), "constant_data": xr.Dataset(constant, coords)}


def _resample(
    drawn: xr.Dataset, log_weight: Float[np.ndarray, "star chain draw"], seed: int, row: Int[np.ndarray, " star"]
) -> xr.Dataset:
    """As many equally weighted draws as there are weighted ones, by systematic resampling in random order."""

    def choose(log_weight, row):
        rng = np.random.default_rng([seed, row])
        cumulative = np.cumsum(np.nan_to_num(np.exp(log_weight.astype(float))))
        u = (np.arange(cumulative.size) + rng.random()) / cumulative.size
        return rng.permutation(np.minimum(np.searchsorted(cumulative, u * cumulative[-1]), cumulative.size - 1))

    flat = log_weight.reshape(len(row), -1)
    index = np.stack([choose(*star) for star in zip(flat, row, strict=True)])
    picked = {
        name: (variable.dims, np.take_along_axis(variable.values, index.T[None], axis=1), variable.attrs)
        for name, variable in drawn.data_vars.items()
    }
    return xr.Dataset(picked, coords=drawn.coords)


def _flat(variable: xr.DataArray) -> Float[np.ndarray, "star draw"]:
    values = variable.transpose("star", "chain", "draw").values
    return values.reshape(values.shape[0], -1).astype(float)


def _summarise(values: Float[np.ndarray, "star draw"], weight: Float[np.ndarray, "star draw"] | None):
    """Mean, standard deviation and percentiles of each row."""
    if weight is None:
        weight = np.ones_like(values)
    weight = weight / np.sum(weight, axis=1, keepdims=True)
    mean = np.sum(weight * values, axis=1)
    std = np.sqrt(np.sum(weight * (values - mean[:, None]) ** 2, axis=1))
    order = np.argsort(values, axis=1)
    values, weight = np.take_along_axis(values, order, axis=1), np.take_along_axis(weight, order, axis=1)
    cumulative = np.cumsum(weight, axis=1) - 0.5 * weight
    percentiles = {
        name: np.array([np.interp(p, c, v) for c, v in zip(cumulative, values, strict=True)])
        for name, p in _PERCENTILES.items()
    }
    return {"mean": mean, "std": std} | percentiles


def _unit(unit: str):
    import astropy.units as u

    return u.Unit(unit)
