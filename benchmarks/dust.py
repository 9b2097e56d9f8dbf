"""What a lookup in a dust map costs, and what the map takes in memory.

    python -m benchmarks.dust [--stars 1000000]

A million stars all over the sky, at distance moduli of 0 to 18 mag, in one batch: their p(E | μ, sky) and whether the
map is reliable there, of the 3-d map of the data folder (nside 32, 120 distances) and of the cap by the map of SFD.
"""

import argparse
import resource
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from albireo.priors.dust import DustMap
from albireo.priors.dust_cap import DustCap
from benchmarks.real_stars import DATA


def main() -> None:
    """Print a line for each map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stars", type=int, default=1_000_000)
    num = parser.parse_args().stars
    rng = np.random.default_rng(0)
    glon, glat = rng.uniform(0, 360, num), np.rad2deg(np.arcsin(rng.uniform(-1, 1, num)))
    mu, position = (
        jnp.asarray(rng.uniform(0, 18, num), jnp.float32),
        jnp.asarray(np.stack([glon, glat], 1), jnp.float32),
    )
    for name, make in (("3-d map", _map), ("cap", _cap)):
        before = _peak()
        dust = make()
        size, peak = sum(leaf.nbytes for leaf in jax.tree.leaves(dust) if eqx.is_array(leaf)), _peak() - before
        jax.block_until_ready(_look_up(dust, mu, position))
        start = time.perf_counter()
        jax.block_until_ready(_look_up(dust, mu, position))
        cost = (time.perf_counter() - start) / num
        print(f"{name}: {1e6 * cost:.2f} µs a star; {size / 2**20:.1f} MB, and {peak / 2**20:.0f} MB to make it")


def _map() -> DustMap:
    return DustMap.from_array(np.load(DATA / "dust" / "dust3d_rybizki_nside32.npy"), np.linspace(4, 18.875, 120))


def _cap() -> DustCap:
    return DustCap.read(DATA / "dust" / "sfd_nside64.fits")


def _peak() -> int:
    """Largest memory of this process so far [bytes]."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@eqx.filter_jit
def _look_up(dust, mu, position):
    return jax.vmap(lambda *star: (dust.reddening_given_distance(*star), dust.is_reliable(*star)))(mu, position)


if __name__ == "__main__":
    main()
