"""Set-up of all tests: compiled code is kept between runs, for compiling takes most of the suite's time."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Environment variables rather than jax.config: workers and the command-line tests' subprocesses inherit them.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Tests run little and compile much: a lower level of optimisation halves the time of a first run.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")
os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(autouse=True)
def make_room():
    """Programs compiled for tests before this one must not be the end of the process."""
    from albireo.cache import make_room_for_programs

    make_room_for_programs()


def find_data() -> Path:
    """The folder of the real stars that training and benchmarks use; it need not exist."""
    return Path(os.environ.get("ALBIREO_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = find_data()
    if not folder.is_dir():
        pytest.skip(f"no training data in {folder} (set ALBIREO_DATA)")
    return folder


@pytest.fixture(scope="session")
def green2020_stars(data_folder) -> Path:
    return data_folder / "green2020_stars.fits"


@pytest.fixture(scope="session")
def model():
    from albireo.model import load_model

    return load_model("default").with_spread(None)


@pytest.fixture(scope="session")
def milky_way(model):
    from albireo.priors import load_prior

    return load_prior("milky-way", model)
