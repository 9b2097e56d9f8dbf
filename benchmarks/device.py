"""How many stars a second this machine infers, on its GPU where it has one; needs no data.

    python -m benchmarks.device -o device.json [--importance 20000] [--nuts 2000]

Mock stars of one field in the bundled model's bands, with and without parallaxes. Rates are of the whole of `infer`,
after compilation, with stars that go on to other samplers. What was measured, on which device and with which versions,
is printed and written as JSON. JAX chooses the device: for a GPU install `jax[cuda12]` beside albireo.
"""

import argparse
import importlib.metadata
import json
import time
from pathlib import Path

import jax
import numpy as np

from albireo import NUTS, Catalog, Importance, infer, load_model, load_prior
from albireo.device import stars_at_once, stars_in_a_batch
from albireo.simulation import mock

_PACKAGES = ("albireo", "jax", "jaxlib", "numpy")


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--importance", type=int, default=20_000)
    parser.add_argument("--nuts", type=int, default=2_000)
    options = parser.parse_args()
    model = load_model("default")
    prior = load_prior("milky-way", model)
    table = mock(prior, 60.0, 20.0, max(options.importance, options.nuts), model=model, faintest=17.0, seed=1)
    stars = Catalog.from_table(table, bands=model.bands)
    figures = {
        "device": f"{jax.devices()[0].device_kind} ({jax.devices()[0].platform})",
        "stars at once": stars_at_once(),
        "stars in a batch": stars_in_a_batch(),
        "versions": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "runs": [],
    }
    for sampler, num in ((Importance(), options.importance), (NUTS(), options.nuts)):
        for parallax in (True, False):
            some = stars[np.arange(num)]
            figures["runs"].append(_measure(model, prior, sampler, some if parallax else some.without("parallax")))
            options.output.write_text(json.dumps(figures, indent=2) + "\n")  # nothing measured is lost
    print(json.dumps(figures, indent=2))


def _measure(model, prior, sampler, stars) -> dict[str, object]:
    seconds = []
    for _ in range(2):  # the first compiles what hard stars need, too
        start = time.perf_counter()
        posterior = infer(stars, model=model, prior=prior, sampler=sampler)
        seconds.append(time.perf_counter() - start)
    stats = posterior.tree["sample_stats"]
    memory = jax.devices()[0].memory_stats() or {}
    return {
        "sampler": type(sampler).__name__,
        "parallax": bool(np.isfinite(stars.parallax).any()),
        "stars": len(stars),
        "stars per second": round(len(stars) / seconds[1], 1),
        "first run, with compiling [s]": round(seconds[0], 1),
        "converged": round(float(np.mean(np.asarray(stats["flags"]) & 2 == 0)), 4),
        "device memory at most [GB]": round(memory.get("peak_bytes_in_use", 0) / 1e9, 2),
    }


if __name__ == "__main__":
    main()
