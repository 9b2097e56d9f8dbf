"""NumPyro's NUTS over all five dimensions, with no integral done in closed form, agrees with the importance sampler."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro.diagnostics import gelman_rubin
from numpyro.infer import MCMC
from numpyro.infer import NUTS as NumPyroNUTS

from albireo import Catalog, Importance, infer
from albireo.likelihood import log_posterior
from albireo.priors import sightline
from stars import PLANET_HOSTS, one, simulate, stars_of, to_double

pytestmark = pytest.mark.science


def sample_with_numpyro(model, prior, star, start, covariance):
    """Draws of (x, μ, log E), chain by chain, from `log_posterior` with the Jacobian of the logarithm."""
    sky = sightline(prior, star.position)

    def potential(z):
        theta, reddening = model.label_median + model.label_std * z[:3], jnp.exp(z[4])
        return -log_posterior(model, prior, star, sky, theta, z[3], reddening) - z[4]

    kernel = NumPyroNUTS(
        potential_fn=potential, dense_mass=True, inverse_mass_matrix=covariance, adapt_mass_matrix=False
    )
    mcmc = MCMC(kernel, num_warmup=200, num_samples=4000, num_chains=4, chain_method="vectorized", progress_bar=False)
    mcmc.run(jax.random.key(2), init_params=start)
    return np.asarray(mcmc.get_samples(group_by_chain=True))


@pytest.mark.parametrize("which", ["real", "simulated"])
def test_importance_sampler_agrees_with_numpyro_over_all_dimensions(model, milky_way, which):
    catalog = (Catalog.read(PLANET_HOSTS)[[100]] if which == "real" else simulate(model)[[1]]).select_bands(model.bands)
    posterior = infer(catalog, model=model, prior=milky_way, sampler=Importance(num_samples=20_000), seed=3)
    names = (*model.labels, "distance_modulus", "reddening")
    draws = np.stack([posterior.tree["posterior"][name].values.ravel() for name in names], axis=1).astype(float)
    z = np.column_stack([np.asarray(model.standardise(draws[:, :3])), draws[:, 3], np.log(draws[:, 4])])
    with jax.enable_x64(True):
        exact = (to_double(tree) for tree in (model, milky_way, one(stars_of(catalog, scatter=model.scatter), 0)))
        theirs = sample_with_numpyro(*exact, jnp.asarray(z[:4]), jnp.asarray(np.cov(z.T)))
    assert np.max(gelman_rubin(theirs)) < 1.02
    ours, theirs = (np.column_stack([draws, np.exp(draws[:, 4])]) for draws in (z, theirs.reshape(-1, 5)))
    # Had NumPyro's 16,000 draws the worth of 500, means would be good to 4.5 % of a width and widths to 3 %; a quarter
    # of them still misses part of the long tail of log E towards no dust.
    np.testing.assert_array_less(np.abs(theirs.mean(axis=0) - ours.mean(axis=0)), 0.2 * ours.std(axis=0))
    np.testing.assert_allclose(theirs.std(axis=0), ours.std(axis=0), rtol=0.12)
