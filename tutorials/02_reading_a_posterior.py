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
# # Reading a posterior
#
# What the groups of a posterior hold, how to see whether to trust it, and how to ask which of two priors the data
# prefer, with [ArviZ](https://www.arviz.org). The functions' names changed with ArviZ 1; where they differ, both are
# below.

# %%
import arviz as az
import numpy as np
from matplotlib import pyplot as plt

import albireo
from albireo import figures
from albireo.demo import planet_hosts
from albireo.fit import fit_of_magnitudes

catalog = planet_hosts(104)[100:]
posterior = albireo.infer(catalog, model="default", prior="milky-way", sampler="nuts", seed=0)
star = str(catalog.ids[0])

# %% [markdown]
# ## The groups
#
# `posterior` has the draws over chain, draw and star; `sample_stats` what the sampler said and every star's
# certificate; `observed_data` and `constant_data` what was measured. `log_likelihood` has each magnitude's, given the
# star's other magnitudes, for the scatter of real stars about the model correlates them: this is what leave-one-out
# cross-validation needs.

# %%
data = posterior.to_arviz(posterior_predictive=True)
for name in ("posterior", "sample_stats", "log_likelihood", "observed_data"):
    print(f"{name:16}", ", ".join(f"{key} {value.dims}" for key, value in data[name].data_vars.items())[:150])
print(data["posterior"]["distance"].attrs)

# %% [markdown]
# One star is `posterior[star]`, and everything works on it as on all. r̂ near 1 says that the four chains tell the same
# story; `ess_bulk` and `ess_tail` say how many independent draws theirs are worth.

# %%
one = posterior[star].to_arviz(posterior_predictive=True)
variables = ["teff", "logg", "feh", "distance", "reddening"]
print(az.summary(one, var_names=variables).to_string())

# %% [markdown]
# ## Did the chains agree?
#
# A trace should look like noise without a drift, the same for every chain; ranks should be even. `figures.trace` and
# `figures.rank` draw these with ArviZ for a star of either version.

# %%
figures.trace(posterior, star).savefig("trace.png", dpi=120)
figures.rank(posterior, star).savefig("rank.png", dpi=120)

# %% [markdown]
# ## What goes with what?
#
# A hotter star behind more dust has the same colours as a cooler one behind less, so `teff` and `reddening` rise
# together.

# %%
draws = posterior[star].tree["posterior"].to_dataset().isel(star=0)
teff, reddening = (draws[name].values.ravel() for name in ("teff", "reddening"))
print(f"correlation of teff and reddening: {np.corrcoef(teff, reddening)[0, 1]:+.2f}")
az.plot_pair(one, var_names=["teff", "reddening", "distance"])
plt.savefig("pair.png", dpi=120)
plt.close()

# %% [markdown]
# ## Does the model explain the star?
#
# Draw magnitudes again from the posterior, and see whether what was measured could be one of these. Band by band, the
# residual in σ says the same: it is the difference between a magnitude and what the posterior and the star's other
# magnitudes predict, over the error of that.

# %%
plot_ppc = getattr(az, "plot_ppc_dist", None) or az.plot_ppc
plot_ppc(one, var_names=["magnitude"])
plt.savefig("predictive.png", dpi=120)
plt.close()
fit = fit_of_magnitudes(posterior[star]).isel(star=0)
for band, residual in zip(fit["band"].values, fit["residual"].sel(quantile=0.5).values, strict=True):
    if np.isfinite(residual):
        print(f"{band:10} {residual:+.1f} σ")
figures.sed(posterior, star).savefig("sed.png", dpi=200)

# %% [markdown]
# ## Which prior?
#
# The expected log predictive density (`elpd`) is how well a magnitude is predicted by the star's others. `az.compare`
# sets the priors side by side: look at the difference beside its standard error `dse`. With six magnitudes to leave one
# out of, ArviZ may warn of a large Pareto k̂: without that one the posterior would be too different to be had from these
# draws. Then infer the star without the band (`catalog.without(band)`) to know.

# %%
other = albireo.infer(catalog, model="default", prior="flat", sampler="nuts", seed=0)
print(az.loo(one))
print(az.compare({"milky-way": one, "flat": other[star].to_arviz()}).to_string())
