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
# # A catalogue of any size
#
# From the tables as the archives give them out to a map of the sky, by commands: `read`, `match`, `add-reddening`,
# `train`, `infer`, `sky-maps`, `convert`. `infer` and what comes after it go by parts, so that a million stars work as
# the thousand here, and a run that is killed goes on where it was. `read` and `match` hold their tables in memory;
# beyond that there is `albireo.crossmatch.hats`.

# %%
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from astropy.table import Table
from simulated_archives import write_archives

from albireo import cli
from albireo.model import load_model

FOLDER = Path("catalogue")


def run(line):
    """Run a command as a shell would, and go on only if it worked."""
    print(f"$ {line}")
    if cli.run(shlex.split(line)[1:]) != 0:
        sys.exit(f"{line} failed")


# %% [markdown]
# ## Tables of archives
#
# `simulated_archives.py` beside this file writes what you would download: Gaia DR2, Pan-STARRS 1, 2MASS and unWISE
# photometry, and spectroscopic labels of GALAH and LAMOST, of the same 1,000 stars within 1 kpc; and two maps of dust.
# Each has its archive's own column names, epochs, flags and magnitude systems. `columns` says what a table is taken
# for.

# %%
FOLDER.mkdir(exist_ok=True)
truth, reddening = write_archives(FOLDER, load_model("default"), num=1000)
run("albireo columns catalogue/2mass.fits")

# %% [markdown]
# ## Read and match
#
# `read` makes the surveys' cuts on quality and brings magnitudes to one system. The bundled model brings its own
# scatter, so that no floor in the errors is wanted. `match` moves the stars of the first table to the epochs of the
# others, and pairs what is nearest both ways. A table of photometry alone is for inference; with labels it is for
# training. `--quiet` leaves out results, but not the notes on what was removed.

# %%
surveys = {"gaia": "gaia-dr2", "ps1": "ps1-mean", "2mass": "2mass", "unwise": "unwise"}
labelled = surveys | {"galah": "galah-dr2", "lamost": "lamost-ddpayne"}
for name, survey in labelled.items():
    written = f"-o catalogue/{name}_read.fits --no-error-floors --quiet"
    run(f"albireo read catalogue/{name}.fits --survey {survey} {written}")
others = " ".join(f"catalogue/{name}_read.fits" for name in list(surveys)[1:])
spectra = "catalogue/galah_read.fits catalogue/lamost_read.fits"
run(f"albireo match catalogue/gaia_read.fits {others} -o catalogue/stars.fits --quiet")
run(f"albireo match catalogue/gaia_read.fits {others} {spectra} -o catalogue/labelled.fits --quiet")
print(len(Table.read(FOLDER / "stars.fits")), "stars;", len(Table.read(FOLDER / "labelled.fits")), "rows with labels")

# %% [markdown]
# ## Train
#
# Training wants a first estimate of every star's reddening, from the maps, and labels on one scale: LAMOST's are off by
# 200 K here, and the stars that both surveys have seen tell. The network is tiny, and learns for seconds only.

# %%
maps = "--sfd catalogue/sfd.fits --dust-map catalogue/dust3d.npy --map-distances 4:19"
run(f"albireo add-reddening catalogue/labelled.fits -o catalogue/reddened.fits {maps} --quiet")
run("albireo zero-points catalogue/reddened.fits -o catalogue/training.fits --reference GALAH")
(FOLDER / "quick.toml").write_text(
    "hidden = [16, 16]\niterations = 6\nepochs = 40\nbatch_size = 32\nlearning_rate = 1e-2\n"
    "refine_epochs = 0\nmembers = 0\nscatter = false\naverage = 0.99\n"
)
run("albireo train catalogue/training.fits -o catalogue/model.safetensors --config catalogue/quick.toml")

# %% [markdown]
# ## Infer, get killed, go on
#
# `infer` works in chunks of 256 stars and writes each whole. Here it is killed as soon as the first is there, as by a
# power cut, in a process of its own; `--resume` does the others only. We infer with the bundled model; with
# `--model catalogue/model.safetensors` it would be the one that was just trained.

# %%
line = "infer catalogue/stars.fits -o catalogue/run --sampler importance --seed 1"
program = [sys.executable, "-c", "from albireo.cli import main; main()"]
process = subprocess.Popen([*program, *line.split()])
while process.poll() is None and not list(FOLDER.glob("run/chunks/0*.parquet")):
    time.sleep(0.05)
process.kill()
process.wait()
done = sorted(path.name for path in FOLDER.glob("run/chunks/0*.parquet"))
print(f"killed when {', '.join(done)} was done; run.json says with which settings:")
print(json.dumps(json.loads((FOLDER / "run" / "run.json").read_text())["settings"], indent=1)[:200], "…")

# %%
start = time.perf_counter()
run(f"albireo {line} --resume")
print(f"the others took {time.perf_counter() - start:.0f} s, most of it compilation")

# %% [markdown]
# Every star is there once, in the order of the input.

# %%
summary = Table.read(FOLDER / "run" / "summary.parquet")
star = np.asarray(summary["source_id"]) - 10**18
assert np.array_equal(summary["row"], np.arange(len(summary)))
for name, exact in {**truth, "reddening": reddening}.items():
    pull = (summary[f"{name}_mean"] - exact[star]) / summary[f"{name}_std"]
    within = np.percentile(np.abs(pull), 68)
    print(f"{name:10} (ours − true)/sigma: median {np.median(pull):+.2f}, 68 % within {within:.2f}")
print(f"{np.mean(np.asarray(summary['flags']) != 0):.0%} of the stars are flagged")

# %% [markdown]
# The medians are not zero, for these stars were not drawn from the prior: `milky-way` expects more dust so near the
# Galactic plane than there is here, and takes the stars for hotter ones behind it. With a map of the dust it would
# know.
#
# ## Look at it
#
# Maps of the sky, and the table as FITS, whose columns TOPCAT shows with units, descriptions and content descriptors.

# %%
run("albireo sky-maps catalogue/run -o catalogue/maps --nside 8 --distances 0:500:1000")
run("albireo convert catalogue/run -o catalogue/inferred.fits")
Path("sky_maps.png").write_bytes((FOLDER / "maps" / "sky_maps.png").read_bytes())
table = Table.read(FOLDER / "inferred.fits")
for name in ("teff_p50", "distance_p50", "flags"):
    print(f"{name} [{table[name].unit}], {table[name].meta['ucd']}: {table[name].description[:60]}")
