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
# # Train your own model
#
# The bundled model knows thirteen bands. If your stars were observed in others, or if you trust other labels more, you
# can train a model of your own: all it takes is a table of stars whose labels are known. Here the stars are simulated,
# so that at the end we can look at how far the trained model is from the truth, and then it is used on real stars.

# %%
import jax
import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure

import albireo
from albireo.demo import planet_hosts
from albireo.priors.base import sightline
from albireo.training import TrainingConfig, TrainingSet, train

BANDS = ("gaia_g", "gaia_bp", "gaia_rp", "2mass_j", "2mass_h", "2mass_ks")

# %% [markdown]
# ## Stars to learn from
#
# The truth is the bundled model in six bands. We look along one line of sight, draw stars from a prior (labels θ,
# distance modulus μ and reddening E), and compute their magnitudes,
#
# $$ m = M(\theta) + \mu + E\,R(\theta), $$
#
# where M is the absolute magnitude and R the extinction per unit of reddening. We take those of 9 to 16 mag within
# 1 kpc, whose parallaxes are good: what absolute magnitudes are, a model can learn from nothing else.

# %%
truth = albireo.load_model("default").select_bands(BANDS)
prior = albireo.load_prior("edsd", truth)
sky = sightline(prior, np.array([60.0, 20.0]))
theta, mu, reddening = map(np.asarray, prior.sample(jax.random.key(1), sky, 200_000))
mag = np.asarray(truth.magnitudes(theta, mu, reddening))
seen = np.flatnonzero((mag[:, 0] > 9) & (mag[:, 0] < 16) & (mu < 10))
theta, mu, reddening, mag = theta[seen], mu[seen], reddening[seen], mag[seen]
print(f"{len(seen)} stars, {np.mean(theta[:, 1] < 3.5):.0%} of them giants")

# %% [markdown]
# What a survey measures has errors: 0.02 mag in each band, 60 K, 0.1 dex and 0.08 dex in the labels, 0.02 mas in the
# parallax, 0.02 mag in a first estimate of the reddening. The columns have the names that albireo knows; any band that
# albireo does not know can be named with `TrainingSet.from_table(table, bands=[...])`.

# %%
rng = np.random.default_rng(2)
errors = {"teff": 60.0, "logg": 0.1, "feh": 0.08, "parallax": 0.02, "reddening": 0.02} | dict.fromkeys(BANDS, 0.02)
exact = dict(zip(truth.labels, theta.T, strict=True)) | dict(zip(BANDS, mag.T, strict=True))
exact |= {"parallax": 10 ** (2 - mu / 5), "reddening": reddening}
table = Table({name: values + errors[name] * rng.normal(size=len(seen)) for name, values in exact.items()})
for name, err in errors.items():
    table[f"{name}_err"] = np.full(len(seen), err)
stars = TrainingSet.from_table(table)
print(len(stars), "stars can be learned from; left out:", stars.dropped or "none")

# %% [markdown]
# ## Training
#
# Labels have errors too, so the loss is not a plain sum of squares: the model's slopes turn errors of labels into
# errors of magnitudes, and the distance comes from the parallax. After every iteration these covariances and the
# reddenings are computed anew (Green et al. 2021). The network here is small and the schedule short: seconds instead of
# minutes. A tenth of the stars is set aside, and the training never looks at it.

# %%
config = TrainingConfig(
    hidden=(24, 24),
    iterations=8,
    epochs=40,
    batch_size=32,
    learning_rate=1e-2,
    decay_iterations=3.0,
    l1=1e-3,
    l2=1e-6,
    error_floor=0.0,
    average=0.995,
)
result = train(stars, config)
for iteration in (0, 1, 3, 7):
    epoch = result.history[(iteration + 1) * config.epochs - 1]
    print(f"iteration {iteration}: loss {epoch.loss:.3f} of training, {epoch.validation_loss:.3f} of validation")

# %%
held_out = result.model.metadata["held_out"]
print(f"{held_out['num_stars']} stars set aside: chi2/dof {held_out['chi2_per_dof']:.3f}; 1 would be perfect")


# %% [markdown]
# ## How far from the truth?
#
# We know it here. Colours to Gaia G are compared for stars with the labels of those set aside. Absolute magnitudes in G
# are ten times harder: an error of 0.1 dex in logg is one of 0.2 mag or so in them, and hardly changes a colour. Stars
# of which there were few (giants, very cool ones) come out worst.

# %%
labels = stars.theta[result.split.test]
ours, exact = (np.asarray(model.absolute_magnitudes(labels)) for model in (result.model, truth))
extinction = [np.asarray(model.extinction_vector(labels)) for model in (result.model, truth)]
for i, band in enumerate(BANDS):
    off = ours[:, i] - exact[:, i] - (ours[:, 0] - exact[:, 0] if i else 0)
    ratio = np.median(extinction[0][:, i] / extinction[1][:, i])
    name = f"{band} − gaia_g" if i else f"M({band})"
    within = np.percentile(np.abs(off), 68)
    print(f"{name:20} median {np.median(off):+.3f}, 68 % within {within:.3f} mag; R/true {ratio:.2f}")

# %%
figure = Figure(figsize=(7, 3.2), layout="constrained")
left, right = figure.subplots(1, 2)
order = np.argsort(labels[:, 0])
for model_mag, style, name in ((exact, "k.", "truth"), (ours, "C0x", "trained")):
    color = (model_mag[:, 0] - model_mag[:, 3])[order]
    left.plot(labels[order, 0], color, style, ms=4, label=name)
left.set(xlabel="teff [K]", ylabel="G − Ks, no extinction [mag]", xlim=left.get_xlim()[::-1])
left.legend()
right.plot([epoch.loss for epoch in result.history], label="training")
right.plot([epoch.validation_loss for epoch in result.history], label="validation")
right.set(xlabel="epoch", ylabel="loss", yscale="log")
right.legend()
figure.savefig("trained_model.png", dpi=150)

# %% [markdown]
# ## Real stars
#
# The model goes to a file (plain numbers and a JSON header), and `infer` takes it like the bundled one. Planet hosts
# have been measured in four of these six bands, G, J, H and Ks. What a model learned from simulated stars says of real
# ones is only as good as the simulation; what to look at is that teff agrees with the published one within the errors.

# %%
albireo.save_model(result.model, "my_model.safetensors")
catalog = planet_hosts()[40:60]
posterior = albireo.infer(catalog, model="my_model.safetensors", prior="edsd", sampler="importance")
summary = posterior.summary()
pull = (np.asarray(summary["teff_mean"]) - catalog.theta[:, 0]) / np.hypot(
    np.asarray(summary["teff_std"]), np.sqrt(catalog.theta_cov[:, 0, 0])
)
print(f"{len(catalog)} planet hosts, teff less the published one: median {np.median(pull):+.2f} sigma")
