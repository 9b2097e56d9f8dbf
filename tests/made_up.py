"""A posterior that nobody sampled, and the folder of its run: what figures and reports are made from."""

from pathlib import Path

import numpy as np
import xarray as xr

from albireo.catalog import Catalog
from albireo.cli.app import load_problem
from albireo.fingerprint import fingerprint
from albireo.groups import data_groups, dataset
from albireo.posterior import Posterior
from albireo.scale.chunks import infer_in_chunks
from stars import TRUTHS

WIDTHS = {"teff": 60.0, "logg": 0.1, "feh": 0.15, "distance_modulus": 0.1, "reddening": 0.02}
CHAINS, DRAWS = 4, 120


def made_up_posterior(problem, catalog: Catalog, truths=TRUTHS, seed: int = 0) -> Posterior:
    """Draws about the true values of `stars.simulate`, independent, as if four chains had made them."""
    rng = np.random.default_rng(seed)
    catalog, num = catalog.select_bands(problem.model.bands), len(catalog)
    truths = np.array([[*theta, mu, e] for theta, mu, e in (truths[i % len(truths)] for i in range(num))])
    truths[catalog.n_bands == 0] = np.nan  # as for a star that could not be sampled
    noise = rng.normal(size=(num, CHAINS, DRAWS, 5)) * list(WIDTHS.values())
    values = dict(zip(WIDTHS, np.moveaxis(truths[:, None, None] + noise, -1, 0), strict=True))
    values["reddening"] = np.abs(values["reddening"])
    values["distance"] = 10 * 10 ** (values["distance_modulus"] / 5)
    values["extinction"] = 2.5 * values["reddening"]
    dims = ("star", "chain", "draw")
    stats = {
        "r_hat_max": np.full(num, 1.003),
        "ess_min": np.full(num, 1200.0),
        "n_divergent": np.zeros(num),
        "chi2": rng.chisquare(8, num),
        "n_bands": catalog.n_bands,
        "engine": np.full(num, "nuts"),
        "flags": np.where(catalog.n_bands == 0, 1, np.where(np.arange(num) % 3 == 2, 64, 0)),
    }
    groups = {
        "posterior": dataset(values, dims, catalog).transpose("chain", "draw", "star"),
        "sample_stats": xr.merge(
            [
                dataset({"diverging": np.zeros((num, CHAINS, DRAWS), bool)}, dims, catalog).transpose(
                    "chain", "draw", "star"
                ),
                dataset(stats, ("star",), catalog),
            ]
        ),
    }
    tree = xr.DataTree.from_dict(groups | data_groups(catalog))
    tree.attrs = {
        "format": "albireo posterior",
        "format_version": 1,
        "labels": ",".join(problem.model.labels),
        "spread": "False",
        "sampler": "NUTS()",
        "seed": "0",
        "reference_band": problem.model.bands[0],
    }
    return Posterior(tree, problem)


def write_run(
    folder, problem, catalog: Catalog, settings: dict, *, truths=TRUTHS, keep_draws: bool = True
) -> Posterior:
    """A run's folder as `albireo infer` leaves it, with such a posterior."""
    posterior = made_up_posterior(problem, catalog, truths)
    infer_in_chunks(catalog, lambda stars: posterior[stars.row], folder, settings, keep_draws=keep_draws)
    return posterior


def settings_of(stars: Path) -> dict:
    """What `albireo infer` records of a run of these stars."""
    _, described = load_problem("default", "milky-way", "nuts")
    return {**described, "spread": False, "seed": 0, "input": fingerprint(stars)}
