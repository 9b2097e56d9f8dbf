"""What the choice of the prior does to stars whose parallax is withheld.

    python -m benchmarks.priors [--stars 300] [--priors milky-way edsd ...]

Two samples. Real stars of `green2020_stars.fits` (no sky positions: the priors' average over the sky): how many giants
are expected (the sum of P(logg < 3.5)) and how many there are, and how the withheld parallaxes compare with those
expected. Dwarfs among the planet hosts (logg > 4, with sky positions), which are no fair sample of the sky: how much
farther they are put than their parallaxes say, and how often the 68 % interval holds the parallax's distance modulus;
and the same of the draws with logg > 4, as a user who knows how the stars were chosen would have it. Then both figures
for mock stars, of which the prior holds by construction, that look like these dwarfs and have logg > 4: what remains
where only the choice of the stars is at fault.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np
from astropy.table import Table

from albireo import Catalog, Importance, infer, list_priors, load_model, load_prior
from albireo.model import StellarModel
from albireo.simulation.observe import add_noise
from benchmarks.real_stars import DATA, read_stars


def main() -> None:
    """Print a row for each prior."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=300)
    parser.add_argument("--priors", nargs="+", default=[name for name, _ in list_priors()])
    arguments = parser.parse_args()
    num = arguments.stars
    model = load_model("default")
    survey = read_stars(model, num)
    hosts = _read_hosts(model)
    dwarfs = hosts[(hosts.theta[:, 1] > 4) & (hosts.parallax > 10 * hosts.parallax_err) & (hosts.n_bands > 4)]
    dwarfs = dwarfs[np.random.default_rng(1).permutation(len(dwarfs))[:num]]
    with TemporaryDirectory() as folder:
        priors = {name: load_prior(name, model) for name in arguments.priors}
        if "milky-way" in priors:
            priors["milky-way behind a 3-d dust map"] = load_prior(_behind_map(Path(folder)), model)
    for name, prior in priors.items():
        jax.clear_caches()  # each prior is compiled anew, and a process may map only so much memory
        print(f"\n{name}")
        posterior = _without_parallax(survey, model, prior)
        _print_survey(survey, posterior)
        posterior = _without_parallax(dwarfs, model, prior)
        _print_dwarfs(dwarfs, posterior, "dwarfs")
        mock = _observed_anew(dwarfs, posterior, model)
        _print_dwarfs(mock, _without_parallax(mock, model, prior), "mock dwarfs")


def _read_hosts(model: StellarModel) -> Catalog:
    """The planet hosts; WISE magnitudes on the zero points of unWISE, as the model's, and without the saturated ones.

    What is done to the bundled selection of them, which says why (`src/albireo/data/README.md`).
    """
    table = Table.read(DATA / "planet_hosts.ecsv")
    for band, saturated, to_unwise in (("wise_w1", 8.1 + 2.699, 0.004), ("wise_w2", 7.0 + 3.339, 0.032)):
        mag = np.ma.filled(table[band].astype(float), np.nan)
        table[band] = np.where(mag < saturated, np.nan, mag + to_unwise)
    return Catalog.from_table(table, bands=model.bands, labels=model.labels)


def _without_parallax(catalog: Catalog, model, prior):
    return infer(catalog.without("parallax"), model=model, prior=prior, sampler=Importance())


def _behind_map(folder: Path) -> Path:
    """The prior milky-way with the 3-d map of the data folder."""
    path = folder / "mapped.toml"
    path.write_text(
        f"""description = "milky-way behind a 3-d dust map"
extends = "milky-way"
[dust]
kind = "map"
file = "{DATA.resolve() / "dust" / "dust3d_rybizki_nside32.npy"}"
ordering = "nested"
first_distance_modulus_mag = 4.0
last_distance_modulus_mag = 18.875
reliable_from_mag = 6.0
reliable_to_mag = 18.875
fractional_scatter = 0.2
absolute_scatter_mag = 0.03
"""
    )
    return path


def _observed_anew(dwarfs: Catalog, posterior, model) -> Catalog:
    """Mock stars that look like these and have logg > 4: of each one's own posterior such a draw, with new noise.

    These are stars of the prior, chosen by their data, which a posterior may ignore, and by their logg, which it may
    not.
    """
    rng = np.random.default_rng(2)
    dwarfs = dwarfs.select_bands(model.bands)
    names = (*model.labels, "distance_modulus", "reddening")
    draws = np.stack([_draws(posterior, name) for name in names], axis=-1)
    found = np.flatnonzero(np.any(draws[..., 1] > 4, axis=0))
    truth = np.stack([rng.choice(draws[draws[:, star, 1] > 4, star]) for star in found])
    dwarfs = dwarfs[found]
    mag = jax.vmap(model.magnitudes)(
        *(jnp.asarray(a, jnp.float32) for a in (truth[:, :-2], truth[:, -2], truth[:, -1]))
    )
    seen = add_noise(model, rng, np.asarray(mag, float), dwarfs.mag_err)
    parallax = 10 ** (2 - truth[:, -2] / 5)
    return replace(dwarfs, mag=np.where(np.isfinite(dwarfs.mag), seen, np.nan), parallax=parallax)


def _print_survey(catalog, posterior) -> None:
    logg, mu = (_draws(posterior, name) for name in ("logg", "distance_modulus"))
    giants, expected = (catalog.theta[:, 1] < 3.5).sum(), (logg < 3.5).mean(axis=0).sum()
    parallax = 10 ** (2 - mu / 5)
    known = np.isfinite(catalog.parallax) & np.isfinite(mu[0])
    pull = (catalog.parallax - parallax.mean(axis=0)) / np.hypot(parallax.std(axis=0), catalog.parallax_err)
    low, median, high = np.percentile(pull[known], (15.87, 50, 84.13))
    ratio = catalog.parallax[known].sum() / parallax.mean(axis=0)[known].sum()
    bright = catalog.mag[:, 0] < 14
    giants_14, expected_14 = (catalog.theta[bright, 1] < 3.5).sum(), (logg[:, bright] < 3.5).mean(axis=0).sum()
    print(f"  {len(catalog)} stars: giants {giants}, expected {expected:.1f}")
    print(f"  {bright.sum()} of them with G < 14: giants {giants_14}, expected {expected_14:.1f}")
    print(f"  parallax − expected: median {median:+.2f}, robust width {(high - low) / 2:.2f} σ; sums {ratio:.3f} : 1")


def _print_dwarfs(catalog, posterior, who: str) -> None:
    mu, logg = (_draws(posterior, name) for name in ("distance_modulus", "logg"))
    expected = 10 - 5 * np.log10(catalog.parallax)
    for what, draws in (("all draws", mu), ("those with logg > 4", np.where(logg > 4, mu, np.nan))):
        enough = np.isfinite(draws).sum(axis=0) >= 50
        low, median, high = np.nanpercentile(draws[:, enough], (15.87, 50, 84.13), axis=0)
        beyond, inside = median - expected[enough], (low < expected[enough]) & (expected[enough] < high)
        print(
            f"  {enough.sum()} {who}, {what}: μ − μ(parallax) {np.median(beyond):+.2f} mag in the median; "
            f"68 % interval holds μ(parallax) of {inside.mean():.0%}"
        )


def _draws(posterior, name: str):
    return np.asarray(posterior.tree["posterior"][name]).reshape(-1, posterior.tree["posterior"].sizes["star"])


if __name__ == "__main__":
    main()
