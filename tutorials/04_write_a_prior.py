# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Write a prior
#
# What a star is cannot be read off its colours alone: a red star may be a dwarf nearby or a giant far away, and it is
# the prior that says how likely each is. `milky-way` counts all stars of the Galaxy. If you know more of yours, say so.
# Here: dwarfs with planets, which are found by transits around bright dwarfs within a few hundred parsecs. We withhold
# their parallaxes, and see which prior gets the distances right.

# %%
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from matplotlib.figure import Figure

import albireo
from albireo.demo import planet_hosts
from albireo.priors import Reddening

# %% [markdown]
# ## Three methods
#
# A prior is the density p(θ, μ, E | sky) of labels θ, distance modulus μ and reddening E, and any object with three
# methods is one. Ours is a product of Gaussians in teff, logg, feh and μ, and an exponential in E:
#
# $$ p(\theta, \mu, E) = \prod_k N(\theta_k;\, a_k, s_k)\; N(\mu;\, 8, 2)\; \frac{e^{-E/\bar E}}{\bar E}. $$
#
# - `log_prob` is its logarithm. It must be **normalised** (or evidences mean nothing), and **differentiable**: no walls
#   where it drops to zero, for NUTS follows its slope.
# - `sample` draws from it. The first look at every star scores thousands of such draws.
# - `reddening_given_distance` is p(E | μ), one of the shapes that albireo integrates over exactly.
#
# `sky` is the star's Galactic longitude and latitude, of which we make no use. All three are written for one star, with
# `jax.numpy`; an `equinox.Module` is a class whose numbers JAX can see.


# %%
class NearbyDwarfs(eqx.Module):
    """Dwarfs like those around which transits are found: 400 pc away, give or take a factor of 2.5."""

    center: jax.Array = eqx.field(default_factory=lambda: jnp.array([5500.0, 4.4, 0.0]))  # teff [K], logg, feh [dex]
    width: jax.Array = eqx.field(default_factory=lambda: jnp.array([700.0, 0.2, 0.2]))
    mu: tuple[float, float] = (8.0, 2.0)  # distance modulus [mag]
    reddening: float = 0.05  # mean [mag]

    def log_prob(self, theta, mu, reddening, sky):
        of_stars = jnp.sum(norm.logpdf(theta, self.center, self.width))
        return of_stars + norm.logpdf(mu, *self.mu) + self.reddening_given_distance(mu, sky).log_prob(reddening)

    def sample(self, key, sky, num_samples):
        keys = jax.random.split(key, 3)
        theta = self.center + self.width * jax.random.normal(keys[0], (num_samples, 3))
        mu = self.mu[0] + self.mu[1] * jax.random.normal(keys[1], (num_samples,))
        return theta, mu, self.reddening * jax.random.exponential(keys[2], (num_samples,))

    def reddening_given_distance(self, mu, sky):
        return Reddening.exponential(self.reddening)


# %% [markdown]
# ## Check it
#
# Two errors are easily made: a factor forgotten in `log_prob`, or a `sample` that draws from something else. One number
# finds both. If q is another normalised density, then the mean of q/p over draws from p is 1. We take for q the same
# prior, a little narrower.

# %%
prior = NearbyDwarfs()
narrower = NearbyDwarfs(width=prior.width * 0.8, mu=(8.1, 1.7), reddening=0.04)
draws = prior.sample(jax.random.key(0), None, 100_000)
log_p, log_q = (jax.vmap(lambda *draw: p.log_prob(*draw, None))(*draws) for p in (prior, narrower))  # noqa: B023
ratio = np.exp(np.asarray(log_q - log_p))
print(f"mean of q/p: {ratio.mean():.3f} ± {ratio.std() / np.sqrt(ratio.size):.3f}, should be 1")

# %% [markdown]
# ## Or as a file
#
# A prior made of known parts needs no code. This file takes the dust of `milky-way`, puts most stars at 400 pc (three
# times the scale), and lets isochrones say what stars there are: mostly dwarfs, but giants too. `priors/README.md` has
# all kinds of parts and their keys; a key that is none is refused by name.

# %%
nearby = """
description = "Stars of the thin disc, most of them 400 pc away"
extends = "milky-way"

[distance]
kind = "exponentially-decreasing"
scale_kpc = 0.133
youngest_gyr = 0.0
oldest_gyr = 10.0
alpha_fe = 0.0

[distance.feh]
kind = "gradients"
mean = 0.0
std = 0.2
radial_per_kpc = 0.0
vertical_per_kpc = 0.0

[stars]
kind = "isochrones"
"""
Path("nearby.toml").write_text(nearby)

# %% [markdown]
# ## Compare
#
# The same stars (those with a published logg above 4, for we want dwarfs), with each prior, without parallaxes; and
# what the withheld parallaxes say.

# %%
catalog = planet_hosts()
catalog = catalog[np.flatnonzero(catalog.theta[:, 1] > 4)[:80]]
by_parallax = -5 * np.log10(np.maximum(catalog.parallax, 0.1) / 100)
off = {}
for name, chosen in (("milky-way", "milky-way"), ("nearby.toml", "nearby.toml"), ("NearbyDwarfs", prior)):
    posterior = albireo.infer(catalog.without("parallax"), prior=chosen, sampler="importance", seed=0)
    summary = posterior.summary()
    off[name] = np.asarray(summary["distance_modulus_p50"]) - by_parallax
    low, high = (np.asarray(summary[f"distance_modulus_{p}"]) for p in ("p16", "p84"))
    probability_of_dwarf = posterior.tree["posterior"]["logg"].values[0] > 3.8
    print(
        f"{name:13} distance modulus less that of the parallax: median {np.median(off[name]):+.2f} mag; "
        f"68 % intervals hold the parallax's {np.mean((by_parallax > low) & (by_parallax < high)):.0%} of the time; "
        f"mean probability of a dwarf {probability_of_dwarf.mean():.0%}"
    )

# %% [markdown]
# `milky-way` thinks that some of these stars may be giants, as many stars of such colours in the sky are, and puts them
# too far away. It is not wrong: it was not told how they were chosen. To say how far they are, as the file does, leaves
# little room for giants already. A prior is part of the result, so publish it with the result, and never choose it by
# looking at which answer you like.

# %%
figure = Figure(figsize=(6, 3.4), layout="constrained")
axes = figure.subplots()
for name, color in (("milky-way", "C1"), ("nearby.toml", "C2"), ("NearbyDwarfs", "C0")):
    axes.hist(off[name], bins=np.arange(-2, 8, 0.4), histtype="step", color=color, lw=2, label=name)
axes.axvline(0, color="k", lw=0.8)
axes.set(xlabel="distance modulus less that of the parallax [mag]", ylabel="stars")
axes.legend()
figure.savefig("priors.png", dpi=150)
