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
# # The distance of a dust cloud
#
# Stars in front of a cloud are hardly reddened, stars behind it are. So distances and reddenings of the stars of a
# field tell where the cloud is (Green et al. 2014, ApJ 783, 114; Schlafly et al. 2014, ApJ 786, 29). Here: a field
# towards Orion, with Pan-STARRS 1 and 2MASS photometry and Gaia parallaxes.

# %%
import os
import sys
from pathlib import Path

import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import norm

import albireo
from albireo.flags import Flag

path = Path(os.environ.get("ALBIREO_DATA", "../shared/data")) / "orion_sightline.fits"
if not path.is_file():
    sys.exit(f"This tutorial needs the table {path}, which does not come with albireo (see ALBIREO_DATA).")

# %% [markdown]
# ## The stars
#
# Those with a parallax to 15 % and at least four bands. The choice goes by the parallax, not by colour or reddening,
# which is what we want to measure.

# %%
table = Table.read(path)
bands = [name.removesuffix("_err") for name in table.colnames if name.endswith("_err") and name != "parallax_err"]
num_bands = np.sum([np.isfinite(np.ma.filled(table[band].astype(float), np.nan)) for band in bands], axis=0)
table = table[(table["parallax"] > 6.7 * table["parallax_err"]) & (num_bands >= 4)]
catalog = albireo.Catalog.from_table(table)
print(f"{len(catalog)} stars at l = {np.mean(table['glon']):.1f}, b = {np.mean(table['glat']):.1f} deg")

# %% [markdown]
# The prior must not know of any cloud: `edsd` has p(E) = exp(−E/0.3)/0.3 at any distance. Left out are stars whose
# magnitudes no labels explain (blends, young stars), cool dwarfs of which the model has seen too few, whose colours it
# may take for reddening, and stars whose draws are not to be trusted.

# %%
posterior = albireo.infer(catalog, prior="edsd", sampler="importance", seed=0)
good = (posterior.flags & (Flag.POOR_FIT | Flag.OUTSIDE_DOMAIN | Flag.NOT_CONVERGED)) == 0
summary = posterior.summary()[good]
print(
    f"{good.sum()} stars; median errors: distance {np.median(summary['distance_std'] / summary['distance_mean']):.1%}, "
    f"reddening {np.median(summary['reddening_std'].value):.3f} mag"
)

# %% [markdown]
# ## The cloud
#
# Before the cloud, at μ < μ_c, stars have reddenings from N(E_0, s_0), behind it from N(E_1, s_1), both cut off below
# zero; s_1 is wide, for the cloud is not the same everywhere. One star's likelihood under this is an integral over its
# own distance and reddening. With draws (μ_j, E_j) from its posterior under the prior π(E), it is a mean over the
# draws, each with the ratio of the two (Hogg, Myers & Bovy 2010, ApJ 725, 2166):
#
# $$ p(D_i | \mu_c, E_0, s_0, E_1, s_1) \propto
#    \frac{1}{J} \sum_j \frac{p(E_{ij} | \mu_{ij}; \mu_c, \dots)}{\pi(E_{ij})} $$
#
# One star in ten may have any reddening (young stars in dust of their own): π(E) itself, for which the ratio is 1.

# %%
NUM = 100
draws = posterior.tree["posterior"].isel(chain=0, star=np.flatnonzero(good), draw=slice(0, 2000, 2000 // NUM))
mu, reddening = (draws[name].transpose("star", "draw").values for name in ("distance_modulus", "reddening"))
log_pi = -reddening / 0.3 - np.log(0.3)


def log_likelihood(mu_c, parameters):
    """Of all stars; the parameters are logarithms of E_0, s_0, E_1 − E_0 and s_1, which are all positive."""
    e0, s0, jump, s1 = np.exp(parameters)
    e1 = e0 + jump
    behind = mu > mu_c
    mean, std = np.where(behind, e1, e0), np.where(behind, s1, s0)
    log_ratio = norm.logpdf(reddening, mean, std) - norm.logcdf(mean / std) - log_pi
    of_star = logsumexp(log_ratio, axis=1) - np.log(mu.shape[1])
    return np.sum(np.logaddexp(np.log(0.9) + of_star, np.log(0.1)))


# %% [markdown]
# For every distance of the cloud the other four parameters are the likeliest ones: the profile likelihood.

# %%
grid = np.arange(7.0, 10.0, 0.05)
start, log_p = np.log([0.05, 0.05, 0.2, 0.2]), []
for mu_c in grid:
    found = minimize(lambda p: -log_likelihood(mu_c, p), start, method="Nelder-Mead", options={"maxiter": 150})  # noqa: B023
    log_p.append((-found.fun, *np.exp(found.x)))
log_p = np.array(log_p)
p = np.exp(log_p[:, 0] - log_p[:, 0].max())
p /= p.sum()
mean = np.sum(grid * p)
std = np.sqrt(np.sum((grid - mean) ** 2 * p))
e0, s0, jump, s1 = log_p[np.argmax(p), 1:]
e1 = e0 + jump
pc = 10 ** (mean / 5 + 1)
print(f"the cloud is at {mean:.2f} ± {std:.2f} mag: {pc:.0f} ± {pc * std * np.log(10) / 5:.0f} pc")
print(f"reddening before it {e0:.2f} ± {s0:.2f} mag, behind it {e1:.2f} ± {s1:.2f} mag (the widths are of the dust)")
gain = log_p[:, 0].max() - log_p[[0, -1], 0]
print(
    f"ln likelihood above that of a cloud at {grid[0]:.1f} and at {grid[-1]:.1f} mag: {gain[0]:.1f} and {gain[1]:.1f}"
)

# %% [markdown]
# The error is that of the statistics, and few stars stand before the cloud. If all parallaxes were 0.03 mas too small
# (as those of Gaia DR2: Lindegren et al. 2018, A&A 616, A2), the cloud would be 1.4 % nearer. Dust at several distances
# is more than one jump can tell: look at the picture before you believe the number.

# %% [markdown]
# ## And with the default prior
#
# `milky-way` expects a smooth layer of dust, the same everywhere, and knows of no cloud either. The stars show the
# cloud all the same, though that prior pulls their reddenings a little towards the layer's:

# %%
by_default = albireo.infer(catalog, sampler="importance", seed=0).summary()[good]
distance, reddening = (by_default[f"{name}_p50"].value for name in ("distance", "reddening"))
for says, chosen in ((f"nearer than {pc:.0f} pc", distance < pc), ("behind that", distance > pc)):
    print(f"{chosen.sum()} stars {says}: median reddening {np.median(reddening[chosen]):.2f} mag under milky-way")

# %%
figure = Figure(figsize=(7, 3.6), layout="constrained")
panels = figure.subplots(1, 2, sharey=True)
for axes, title, of_stars in zip(panels, ("edsd, and the cloud", "milky-way"), (summary, by_default), strict=True):
    x = {name: of_stars[f"distance_{name}"].value for name in ("p16", "p50", "p84")}
    y = {name: of_stars[f"reddening_{name}"].value for name in ("p16", "p50", "p84")}
    errors = [[values["p50"] - values["p16"], values["p84"] - values["p50"]] for values in (x, y)]
    axes.errorbar(
        x["p50"], y["p50"], xerr=errors[0], yerr=errors[1], fmt=".", color="0.4", ecolor="0.8", ms=3, elinewidth=0.5
    )
    axes.axvline(pc, color="C0", lw=1, ls="--", label=f"{pc:.0f} pc")
    axes.set(xscale="log", xlim=(200, 3000), ylim=(0, 0.7), xlabel="distance [pc]", title=title)
    axes.set_xticks([200, 500, 1000, 2000], ["200", "500", "1000", "2000"])
    axes.minorticks_off()
for edges, e, s in (((200, pc), e0, s0), ((pc, 3000), e1, s1)):
    panels[0].fill_between(edges, max(e - s, 0), e + s, color="C0", alpha=0.25, lw=0)
    panels[0].plot(edges, (e, e), color="C0", lw=2)
panels[0].set_ylabel("reddening E [mag]")
panels[0].legend(loc="upper left")
figure.savefig("cloud.png", dpi=150)
