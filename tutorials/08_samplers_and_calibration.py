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
# # Which sampler, and can it be believed?
#
# albireo has three samplers for the same posteriors. Where they agree, it is unlikely that all are wrong; where they
# differ, something is to be found out. And with simulated stars one can ask whether the truth is inside 68 % intervals
# 68 % of the time.

# %%
import time

import numpy as np

import albireo
from albireo import NUTS, Importance, Nested
from albireo.calibration import calibrate
from albireo.calibration.figure import calibration_figure
from albireo.demo import planet_hosts

catalog = planet_hosts()[100:104]

# %% [markdown]
# ## Three samplers
#
# - `Importance` fits a mixture of Gaussians to a first look and weights 1,000 draws from it. Fast, and every mode that
#   the first look saw is there. Its certificate is Pareto's k̂: below 0.7 the weights can be trusted.
# - `NUTS` runs chains of correlated draws. Its certificates are r̂ (below 1.01) and the effective sample size.
# - `Nested` shrinks the prior onto the posterior step by step: a second or two a star. It was made for the evidence,
#   whose error it knows, and covers all labels wherever the first look pointed.
#
# The first two send a star on to a better sampler by themselves where it fails; `escalate=False` leaves that out here.

# %%
samplers = {"importance": Importance(escalate=False), "nuts": NUTS(escalate=False), "nested": Nested(num_live=200)}
summaries = {}
for name, sampler in samplers.items():
    start = time.perf_counter()
    summaries[name] = albireo.infer(catalog, sampler=sampler, seed=1).summary()
    print(f"{name}: {time.perf_counter() - start:.0f} s for {len(catalog)} stars, compilation included")

# %%
for i, star in enumerate(catalog.ids):
    for name, summary in summaries.items():
        values = {column: np.asarray(summary[column])[i] for column in summary.colnames}
        told = [f"{v} {values[f'{v}_mean']:.4g} ± {values[f'{v}_std']:.2g}" for v in ("teff", "logg", "distance")]
        told += [f"{c} {values[c]:.3g}" for c in ("k_hat", "r_hat_max", "ess_min") if c in values]
        print(f"{star:12} {name:11} {', '.join(told)}")

# %% [markdown]
# How far apart are the means, in standard deviations of the posterior? Each is known to about one over the root of the
# effective sample size, so 0.05 is as good as it gets with 400 draws.

# %%
for name in ("nuts", "nested"):
    apart = [
        np.abs(np.asarray(summaries[name][f"{v}_mean"]) - np.asarray(summaries["importance"][f"{v}_mean"]))
        / np.asarray(summaries["importance"][f"{v}_std"])
        for v in ("teff", "logg", "feh", "distance_modulus", "reddening")
    ]
    print(
        f"{name} and importance: means apart by {np.median(apart):.3f} sigma in the median, {np.max(apart):.3f} at most"
    )

# %% [markdown]
# ## Evidence
#
# The evidence Z = ∫ p(D | θ, μ, E) p(θ, μ, E) dθ dμ dE says how well a prior and a model predicted the data. Importance
# sampling gives it as the mean weight, nested sampling as a sum over shells, in two quite different ways. (NUTS knows
# nothing of it; it takes that of the weighted draws its proposals come from.)

# %%
for i, star in enumerate(catalog.ids):
    pairs = {name: (summaries[name]["log_evidence"][i], summaries[name]["log_evidence_err"][i]) for name in samplers}
    print(f"{star:12} ln Z: " + ", ".join(f"{name} {value:.2f} ± {err:.2f}" for name, (value, err) in pairs.items()))

# %% [markdown]
# Two priors compare by the ratio of their evidences, the Bayes factor; over several stars the logarithms add up. Here:
# the Galaxy against the same density everywhere. A factor of e^1 is barely worth a mention, e^5 is strong; but four
# stars chosen for their planets are no fair sample of the Galaxy.

# %%
other = albireo.infer(catalog, prior="edsd", sampler=samplers["importance"], seed=1).summary()
difference = np.asarray(summaries["importance"]["log_evidence"] - other["log_evidence"])
print(f"ln Z(milky-way) − ln Z(edsd): {np.round(difference, 2)}, together {difference.sum():+.1f}")

# %% [markdown]
# ## Calibration
#
# 100 stars are drawn from the prior, observed and inferred; if all is right, the rank of the true value among a star's
# draws is uniform (Talts et al. 2018, arXiv 1804.06788). Grey is where it should be. With 100 stars a fraction of 68 %
# is known to 5 %, and one p-value in twenty is below 0.05 by chance; `albireo calibrate --num-stars 2000` tells more.

# %%
calibration = calibrate(sampler=Importance(), num_stars=100, with_parallax=0.5, seed=2)
for line in list(calibration.lines())[:12]:
    print(line)

# %%
calibration_figure(calibration).savefig("calibration.png", dpi=110)
