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
# # First stars
#
# From a table of magnitudes and parallaxes to labels, distances and reddenings, and on to ArviZ. Run this file with
# `python tutorials/01_first_stars.py`, or open it as a notebook with [jupytext](https://jupytext.readthedocs.io).

# %%
from importlib.resources import files

import arviz as az
import numpy as np
from astropy.table import Table

import albireo
from albireo import figures

# %% [markdown]
# ## The table
#
# albireo comes with 150 planet-host stars. Every magnitude is a column named after its band, with its error in a column
# that ends in `_err`; `parallax` and `parallax_err` are in mas, `ra` and `dec` in degrees. Your own table needs the
# same names and may have any other columns beside them.

# %%
table = Table.read(str(files("albireo") / "data" / "planet_hosts.ecsv"))[100:104]
print(table["name", "gaia_g", "gaia_g_err", "2mass_ks", "2mass_ks_err", "parallax", "parallax_err"])

# %%
catalog = albireo.Catalog.from_table(table)
print(catalog)

# %% [markdown]
# A missing magnitude is NaN or masked; that band is then not used for that star. The published `teff`, `logg` and `feh`
# in the table are not used for inference: they are here to compare with.
#
# ## The posterior
#
# The bundled model turns labels into absolute magnitudes, the prior says how many stars of each kind there are at each
# distance along the line of sight, and NUTS draws from the posterior of each star: 4 chains of 500 draws.

# %%
posterior = albireo.infer(catalog, model="default", prior="milky-way", sampler="nuts", seed=0)
print(posterior)

# %% [markdown]
# One row a star: mean, standard deviation and percentiles of every variable, how well the chains mixed, how well the
# best draw fits, and the flags.

# %%
summary = posterior.summary()
summary["published"] = np.asarray(table["teff"])
shown = summary["star", "teff_p50", "teff_std", "published", "distance_p50", "reddening_p50", "r_hat_max", "chi2"]
shown.round(3)
shown.pprint(max_width=-1)

# %%
for star, flags in zip(summary["star"], summary["flags"], strict=True):
    print(star, albireo.flags.flag_names(flags) or "no flags")

# %% [markdown]
# ## ArviZ
#
# `to_arviz()` gives what the installed ArviZ works on, with the stars as a dimension. Everything ArviZ offers is then
# there: here the summary of one star, with effective sample sizes and r_hat of its own.

# %%
data = posterior.to_arviz()
first = str(summary["star"][0])
variables = ["teff", "logg", "feh", "distance", "reddening"]
print(az.summary(data, var_names=variables, coords={"star": [first]}).to_string())

# %% [markdown]
# ## A picture
#
# Where the prior (grey) is as narrow as the posterior (blue), the data said little; where no grey is to be seen, as of
# `distance`, they said it all. Photometry in six bands hardly constrains `feh`; `teff` and `reddening` go together, for
# a hotter star behind more dust has the same colours.

# %%
truth = {label: float(table[label][0]) for label in catalog.labels}
figure = figures.corner(posterior, first, truth, prior_draws=figures.draw_from_prior(posterior, first))
figure.savefig("corner.png", dpi=150)
