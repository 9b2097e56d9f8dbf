"""A magnitude that may be wrong: the mixture is what it says, and one wild magnitude does little harm."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from albireo import Importance, UserError, infer
from albireo.flags import Flag
from albireo.outliers import OUTLIER_WIDTH, choose, draw, hypotheses, outlier_probability, total
from albireo.predictive import log_likelihood_of_draws
from albireo.samplers import Draws
from stars import SUN, TRUTHS, simulate

QUICK = Importance(batch_size=2)
FRACTION = 0.02


@pytest.fixture(scope="module")
def sun(model):
    catalog = simulate(model, (SUN,) * 2)
    catalog.mag[1, 3] = np.nan
    return catalog


@pytest.fixture(scope="module")
def every(model, sun):
    return hypotheses(sun, None, FRACTION, dtype=np.float64)


def test_prior_of_the_hypotheses_sums_to_one_and_leaves_out_missing_bands(every):
    np.testing.assert_allclose(np.exp(every.log_prior).sum(axis=1), 1)
    odds = np.exp(every.log_prior[:, 1:] - every.log_prior[:, :1])
    np.testing.assert_allclose(odds[0], FRACTION / (1 - FRACTION))
    assert odds[1, 3] == 0


def test_an_outlier_has_a_larger_error_in_its_own_band_alone(every, sun):
    err = 1 / np.diagonal(every.stars.whitener[0], axis1=1, axis2=2)
    np.testing.assert_allclose(err[0], sun.mag_err[0])
    np.testing.assert_allclose(err[5, 4], np.hypot(sun.mag_err[0, 4], OUTLIER_WIDTH))
    np.testing.assert_allclose(np.delete(err[5], 4), np.delete(sun.mag_err[0], 4))


def test_total_is_the_mixture_of_gaussians(model, every, sun):
    """Against SciPy, for a magnitude 3 mag off."""
    theta, mu, reddening = SUN
    expected = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening), float)
    mag = sun.mag[0].copy()
    mag[2] += 3

    def gaussian(err):
        return stats.norm(expected, err).logpdf(mag).sum()

    extra = np.concatenate([np.zeros((1, len(mag))), OUTLIER_WIDTH * np.eye(len(mag))])
    reference = logsumexp(every.log_prior[0] + np.array([gaussian(np.hypot(sun.mag_err[0], e)) for e in extra]))
    with jax.enable_x64(True):
        star = jax.tree.map(lambda a: jnp.asarray(a[0], jnp.float64), every)
        star = dataclasses.replace(star, stars=dataclasses.replace(star.stars, mag=jnp.tile(jnp.asarray(mag), (14, 1))))

        def log_f(star):
            err = 1 / jnp.diagonal(star.whitener)
            return jnp.sum(-0.5 * ((star.mag - expected) / err) ** 2 - jnp.log(err) - 0.5 * jnp.log(2 * jnp.pi))

        assert float(total(star, log_f)) == pytest.approx(float(reference), rel=1e-9)
        chosen, log_prior, log_share, _ = draw(star, log_f, jnp.asarray(0.5))
        assert 1 / np.asarray(chosen.whitener)[2, 2] > OUTLIER_WIDTH
        assert float(log_share) == pytest.approx(0, abs=1e-6)
        assert float(log_prior) == pytest.approx(every.log_prior[0, 3])


def test_likelihood_of_a_magnitude_given_the_others_is_that_of_the_mixture(model, every, sun):
    """p(m) / p(m without it), for a magnitude 3 mag off and for all others; against SciPy."""
    theta, mu, reddening = SUN
    expected = np.asarray(model.magnitudes(jnp.array(theta), mu, reddening), float)
    mag = sun.mag[0].copy()
    mag[2] += 3
    extra = np.concatenate([np.zeros((1, len(mag))), OUTLIER_WIDTH * np.eye(len(mag))])
    each = every.log_prior[0][:, None] / len(mag) + stats.norm(expected, np.hypot(sun.mag_err[0], extra)).logpdf(mag)
    own = each - every.log_prior[0][:, None] / len(mag)
    reference = logsumexp(each.sum(1)) - logsumexp(each.sum(1)[:, None] - own, axis=0)
    stars = dataclasses.replace(every.stars, mag=every.stars.mag.copy())
    stars.mag[0] = mag
    draws = Draws(np.array(theta)[None, None, None], np.array([[[mu]]]), np.array([[[reddening]]]))
    with jax.enable_x64(True):
        one = jax.tree.map(lambda a: jnp.asarray(a[:1]), dataclasses.replace(every, stars=stars))
        bands, _ = log_likelihood_of_draws(model, one, jax.tree.map(jnp.asarray, draws))
    np.testing.assert_allclose(np.asarray(bands)[0, 0, 0], reference, atol=2e-3)
    assert reference[2] < -5 > reference.min() - 1  # the wild one is the unlikeliest, far from impossible


def test_the_likeliest_hypotheses_are_kept_and_always_the_first(every):
    score = np.tile(np.arange(14.0), (2, 1))
    kept = choose(every, score)
    assert kept.log_prior.shape == (2, 4)
    np.testing.assert_array_equal(kept.log_prior[:, 0], every.log_prior[:, 0])
    np.testing.assert_array_equal(kept.stars.whitener[:, 1], every.stars.whitener[:, 13])


def test_the_wild_magnitude_is_named(model, sun):
    theta, mu, reddening = (np.tile(np.asarray(a, np.float32), (2, 5, *[1] * np.ndim(a))) for a in SUN)
    wild = dataclasses.replace(sun, mag=sun.mag.copy())
    wild.mag[0, 7] -= 1.0
    every = jax.tree.map(jnp.asarray, hypotheses(wild, model.scatter, FRACTION))
    probability = np.asarray(outlier_probability(model, every, theta, mu, reddening))
    assert probability[0, 7] > 0.99
    assert np.delete(probability[0], 7).max() < 0.01
    assert probability[1].max() < 0.5


@pytest.mark.slow
def test_one_wild_magnitude_does_little_harm(model, milky_way):
    clean = simulate(model, TRUTHS)
    wild = dataclasses.replace(clean, mag=clean.mag.copy())
    wild.mag[np.arange(3), [8, 1, 5]] += [1.5, -0.7, 0.5]
    problem = {"model": model, "prior": milky_way, "sampler": QUICK}
    expected, posterior = infer(clean, **problem).summary(), infer(wild, outliers=FRACTION, **problem)
    summary = posterior.summary()
    np.testing.assert_array_equal(summary["outlier"], np.asarray(model.bands)[[8, 1, 5]])
    assert np.all(posterior.flags & Flag.OUTLIER)
    assert not np.any(posterior.flags & (Flag.POOR_FIT | Flag.NOT_CONVERGED))
    for name in ("teff", "logg", "feh", "distance_modulus", "reddening"):
        low, middle, high = (np.asarray(expected[f"{name}_{p}"], float) for p in ("p16", "p50", "p84"))
        assert np.all(np.abs(np.asarray(summary[f"{name}_p50"], float) - middle) < (high - low) / 2)
    assert set(posterior.tree["sample_stats"]["outlier_probability"].dims) == {"star", "band"}
    again = posterior.reweight(milky_way)
    np.testing.assert_array_equal(again.summary()["outlier"], summary["outlier"])
    np.testing.assert_array_equal(again.flags, posterior.flags)


@pytest.mark.parametrize("fraction", [-0.1, 0.5, float("nan")])
def test_a_share_that_is_none_is_refused(model, fraction):
    with pytest.raises(UserError, match="share of magnitudes that are wrong"):
        infer(simulate(model), model=model, outliers=fraction)
