"""Train the bundled default model and compare it with the published network on the held-out tenth.

    python benchmarks/bundled_model.py [-o MODEL]

Reads `green2020_stars.fits` (DOI 10.5281/zenodo.3902382), and the published network if it is there, from the folder in
the environment variable ALBIREO_DATA, else from `../shared/data` beside the repository.
"""

import argparse
import dataclasses
import os
import time
from pathlib import Path

from astropy.table import Table

from albireo.model import load_green2020, save_model
from albireo.training import TrainingConfig, TrainingSet, evaluate, train

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("ALBIREO_DATA", ROOT.parent / "shared" / "data"))
DEFAULT_OUTPUT = ROOT / "src" / "albireo" / "data" / "default.safetensors"


def main() -> None:
    """Train, evaluate, save."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=DEFAULT_OUTPUT)
    output = parser.parse_args().output
    stars = TrainingSet.from_table(Table.read(DATA / "green2020_stars.fits"))
    start = time.perf_counter()
    result = train(stars, TrainingConfig.preset("default"))
    print(f"trained in {time.perf_counter() - start:.0f} s; last epoch: {result.history[-1]}")
    metadata = {
        "name": "default",
        "data": "green2020_stars.fits: 8,000 stars of DOI 10.5281/zenodo.3902382 (Green et al. 2021)",
        "command": "python benchmarks/bundled_model.py",
        **result.model.metadata,
    }
    published = DATA / "green2020_published"
    if published.is_dir():
        figures = evaluate(load_green2020(published), stars, result.split.test)
        metadata["held_out_published_network"] = figures.to_dict()
    output.parent.mkdir(parents=True, exist_ok=True)
    save_model(dataclasses.replace(result.model, metadata=metadata), output)
    for name in ("held_out", "held_out_published_network"):
        print(name, metadata.get(name))
    print(f"wrote {output}, {output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
