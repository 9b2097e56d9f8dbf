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
# # The distance of a cluster
#
# The stars of a cluster stand at one distance. Each star's photometry tells it to a quarter of a magnitude or so;
# together, fifty tell it to a few hundredths. But posteriors must not simply be multiplied: each of them holds the
# prior, which would then be counted fifty times.

# %%
import jax
import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

import albireo
from albireo.priors.base import sightline

MU, NUM = 8.4, 50  # the truth: 479 pc

# %% [markdown]
# ## A cluster
#
# Fifty stars with labels and reddenings as the prior `edsd` has them, all at the same distance, of 9 to 17 mag,
# observed without parallaxes. Some are no members: they stand behind the cluster.

# %%
model = albireo.load_model("default")
prior = albireo.load_prior("edsd", model)
sky = sightline(prior, np.array([120.0, -30.0]))
theta, _, reddening = map(np.asarray, prior.sample(jax.random.key(3), sky, 20_000))
mu = np.where(np.arange(20_000) % 6 == 1, MU + 1.5, MU)
mag = np.asarray(model.magnitudes(theta, mu, reddening))
seen = np.flatnonzero((mag[:, 0] > 9) & (mag[:, 0] < 17))[:NUM]
rng = np.random.default_rng(4)
scatter = np.linalg.cholesky(np.asarray(model.scatter.covariance()))
observed = (
    mag[seen] + rng.normal(size=(NUM, len(model.bands))) @ scatter.T + 0.01 * rng.normal(size=(NUM, len(model.bands)))
)
table = Table(
    dict(zip(model.bands, observed.T, strict=True)) | {f"{band}_err": np.full(NUM, 0.01) for band in model.bands}
)
catalog = albireo.Catalog.from_table(table)
print(f"{NUM} stars, {np.sum(theta[seen, 1] < 3.5)} giants, {np.sum(mu[seen] > MU)} behind the cluster")

# %%
posterior = albireo.infer(catalog, prior=prior, sampler="importance", seed=0)
summary = posterior.summary()
print(f"median error of one star: {np.median(np.asarray(summary['distance_modulus_std'])):.2f} mag")

# %% [markdown]
# ## Together
#
# With D_i the photometry of star i, Bayes' theorem for the distance modulus μ that all share says
#
# $$ p(\mu | D_1 \dots D_n) \propto p(\mu) \prod_i p(D_i | \mu), \qquad
#    p(D_i | \mu) \propto \frac{p_i(\mu | D_i)}{p_i(\mu)} . $$
#
# p_i(μ | D_i) is what albireo gives, with labels and reddening integrated out, and p_i(μ) the prior that it was given,
# which has to be **divided out**. For `edsd` that is known: p(d) ∝ d² exp(−d/L) with L = 1350 pc, and as d ∝ 10^(μ/5),
# p(μ) ∝ d³ exp(−d/L). The prior p(μ) of the cluster itself is ours to choose: flat.
#
# A star that is no member must not be able to veto the true distance. So each is a member with a probability of 0.9,
# and otherwise stands anywhere along the prior: then p(D_i | μ) is ∫ p(D_i | μ') p_i(μ') dμ', whatever μ. Divided by
# that constant, a star's factor is 0.9 p_i(μ | D_i) / p_i(μ) + 0.1.

# %%
grid = np.linspace(6.5, 11.0, 901)
step = grid[1] - grid[0]
distance = 10 ** (grid / 5 + 1)
every = np.linspace(-2, 20, 22_001)
p_prior = distance**3 * np.exp(-distance / 1350)
p_prior /= np.sum((10 ** (every / 5 + 1)) ** 3 * np.exp(-(10 ** (every / 5 + 1)) / 1350)) * (every[1] - every[0])
draws = posterior.sampled()
density = np.array(
    [
        gaussian_kde(draws["distance_modulus"][0, :, i], bw_method=0.15, weights=np.exp(draws["log_weight"][0, :, i]))(
            grid
        )
        for i in range(NUM)
    ]
)
ratio = density / p_prior


def normalise(log_p):
    p = np.exp(log_p - log_p.max())
    return p / (p.sum() * step)


together = normalise(np.sum(np.log(0.9 * ratio + 0.1), axis=0))
naive = normalise(np.sum(np.log(0.9 * density + 0.1 * p_prior), axis=0))  # the prior is counted once a star
for name, p in (("the prior divided out", together), ("posteriors multiplied", naive)):
    mean = np.sum(grid * p) * step
    std = np.sqrt(np.sum((grid - mean) ** 2 * p) * step)
    print(
        f"{name}: {mean:.3f} ± {std:.3f} mag, {(mean - MU) / std:+.1f} sigma from {MU}; {10 ** (mean / 5 + 1):.0f} pc"
    )

# %% [markdown]
# Who is a member? At a given μ of the cluster, star i is one with odds of 9 p_i(μ | D_i) / p_i(μ), averaged over μ.

# %%
odds = 9 * np.sum(ratio * together, axis=1) * step
behind = mu[seen] > MU
for name, chosen in (("members", ~behind), ("stars behind", behind)):
    print(f"{name}: probability of being a member {np.round(np.sort(odds[chosen] / (1 + odds[chosen])), 2)[:6]} …")

# %%
figure = Figure(figsize=(6.4, 3.6), layout="constrained")
axes = figure.subplots()
for i in range(NUM):
    axes.plot(grid, density[i], color="C1" if behind[i] else "0.75", lw=0.7, zorder=1 + behind[i])
axes.plot(grid, together / 10, color="C0", lw=2, label="together (a tenth of its height)")
axes.plot([], [], color="0.75", label="each member")
axes.plot([], [], color="C1", label="stars behind the cluster")
axes.axvline(MU, color="k", lw=0.8, ls="--", label="truth")
axes.set(xlabel="distance modulus [mag]", ylabel="density [mag⁻¹]", xlim=(7, 10.7), ylim=(0, 3))
axes.legend()
figure.savefig("cluster.png", dpi=150)

# %% [markdown]
# Each star had a reddening of its own here. If all stand behind the same dust, do the same in two dimensions, μ and E,
# and divide by p_i(μ) p_i(E). And what errs alike for all stars does not average out: if the model's absolute
# magnitudes are 0.05 mag off, so is the distance modulus of a real cluster, however many members it has.
