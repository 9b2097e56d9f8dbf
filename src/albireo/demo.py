"""The demo: bundled planet-host stars, inferred and compared with their published labels."""

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.fingerprint import fingerprint
from albireo.flags import flag_names
from albireo.statistics import robust_width

if TYPE_CHECKING:
    from astropy.table import Table

    from albireo.posterior import Posterior

_TABLE = files("albireo") / "data" / "planet_hosts.ecsv"
_TABLE_ROWS = 20
_SEED = 0


def run_demo(output: Path, num_stars: int, progress: Callable[[int], None]) -> list[str]:
    """Infer planet hosts with NUTS, and write tables and figures.

    Args:
        output: the folder to write `posterior.nc`, `summary.parquet`, `kiel.png` and `corner.png` into.
        num_stars: how many of the bundled stars to take.
        progress: called with the number of stars just done.

    Returns:
        Lines of a table of the stars beside their published labels, how well these agree, and what was written.

    Raises:
        UserError: there are fewer stars, or the folder cannot be written.
    """
    from albireo import figures
    from albireo.inference import infer
    from albireo.samplers import NUTS
    from albireo.scale.chunks import infer_in_chunks

    pictures = [name for name in ("kiel.png", "corner.png") if (output / name).exists()]
    if pictures:
        raise UserError(f"{output} already holds {pictures[0]}; choose another folder.")
    catalog = planet_hosts(num_stars)
    settings = {"model": "default", "prior": "milky-way", "sampler": repr(NUTS()), "seed": _SEED}
    posteriors: list[Posterior] = []

    def infer_and_keep(stars: Catalog) -> "Posterior":
        posteriors.append(
            infer(stars, model="default", prior="milky-way", sampler=NUTS(), seed=_SEED, progress=progress)
        )
        return posteriors[0]

    with as_file(_TABLE) as path:
        infer_in_chunks(catalog, infer_and_keep, output, {"input": fingerprint(path), **settings}, keep_draws=True)
    posterior, summary = posteriors[0], posteriors[0].summary()
    figures.kiel_diagram(summary, catalog.to_table()).savefig(output / "kiel.png", dpi=250)
    star = _star_to_show(summary)
    truth = dict(zip(catalog.labels, catalog.theta[star], strict=True))
    corner = figures.corner(posterior, star, truth, figures.draw_from_prior(posterior, star))
    corner.savefig(output / "corner.png", dpi=150)
    written = f"{output}: summary.parquet, posterior.nc, kiel.png, corner.png ({catalog.ids[star]})"
    return [*comparison(summary, catalog), "", *agreement(summary, catalog), "", written]


def planet_hosts(num_stars: int | None = None) -> Catalog:
    """The bundled stars: planet hosts with Gaia, 2MASS and WISE photometry, parallaxes and published labels."""
    with as_file(_TABLE) as path:
        catalog = Catalog.read(path)
    if num_stars is not None and num_stars > len(catalog):
        raise UserError(f"there are {len(catalog)} bundled stars; got --stars {num_stars}, ask for that many or fewer.")
    return catalog[:num_stars]


def comparison(summary: "Table", catalog: Catalog) -> list[str]:
    """Lines of a table: what was inferred of the first stars beside what was published."""
    heads = [
        ("star", 16),
        ("teff [K]", 12),
        ("published", 12),
        ("logg [dex]", 12),
        ("published", 12),
        ("feh [dex]", 13),
    ]
    heads += [("published", 13), ("distance [pc]", 14), ("reddening [mag]", 16)]
    lines = ["".join(f"{text:{width}}" for text, width in heads) + "flags"]
    for i in range(min(len(summary), _TABLE_ROWS)):
        cells = [f"{catalog.ids[i]:16}"]
        for label, (digits, sign, width) in _FORMATS.items():
            published, err = _published(catalog, label)
            ours = _value(summary, label, i), _value(summary, label, i, "std")
            cells += [_measured(*pair, digits, sign, width) for pair in (ours, (published[i], err[i]))]
        for name, (digits, width) in {"distance": (2, 16), "reddening": (3, 16)}.items():
            cells.append(_measured(_value(summary, name, i), _value(summary, name, i, "std"), digits, "", width))
        lines.append("".join(cells) + ", ".join(flag_names(summary["flags"][i])))
    return lines if len(summary) <= _TABLE_ROWS else [*lines, f"… and {len(summary) - _TABLE_ROWS} more"]


def agreement(summary: "Table", catalog: Catalog) -> list[str]:
    """Median difference and the median and robust width of the pulls of every label, in a line each."""
    lines = [f"all {len(summary)} stars, ours minus published (pull: in units of both errors, added in quadrature):"]
    for label, (digits, _, _) in _FORMATS.items():
        published, published_err = _published(catalog, label)
        mean, std = (np.asarray(summary[f"{label}_{name}"]) for name in ("mean", "std"))
        difference = mean - published
        pull = difference / np.hypot(std, published_err)
        lines.append(
            f"  {label:5} median difference {np.nanmedian(difference):+.{digits}f} {_UNITS[label]}, "
            f"pulls: median {np.nanmedian(pull):+.2f}, robust width {robust_width(pull):.2f}"
        )
    flagged = int(np.sum(np.asarray(summary["flags"]) != 0))
    return [*lines, f"  {flagged} stars are flagged"]


# Digits after the point, sign and width of the columns.
_FORMATS = {"teff": (0, "", 12), "logg": (2, "", 12), "feh": (2, "+", 13)}
_UNITS = {"teff": "K", "logg": "dex", "feh": "dex"}


def _published(catalog: Catalog, label: str) -> tuple[Float[np.ndarray, " star"], Float[np.ndarray, " star"]]:
    i = catalog.labels.index(label)
    return catalog.theta[:, i], np.sqrt(catalog.theta_cov[:, i, i])


def _value(summary: "Table", name: str, i: int, statistic: str = "p50") -> float:
    return float(np.asarray(summary[f"{name}_{statistic}"])[i])


def _measured(value: float, err: float, digits: int, sign: str, width: int) -> str:
    return f"{f'{value:{sign}.{digits}f} ± {err:.{digits}f}':{width}}"


def _star_to_show(summary: "Table") -> int:
    """Among the stars with the most bands, the one with the fewest flags."""
    n_bands, flags = np.asarray(summary["n_bands"]), np.asarray(summary["flags"])
    return int(np.lexsort((flags, -n_bands))[0])
