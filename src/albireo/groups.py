"""ArviZ's groups: draws and data of a catalogue's stars as labelled arrays, and back."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import xarray as xr
from astropy.table import Table

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.flags import Flag
from albireo.samplers import Draws
from albireo.summary import UNITS


def dataset(variables: dict[str, np.ndarray], dims: tuple[str, ...], catalog: Catalog) -> xr.Dataset:
    """Named arrays over the stars of a catalogue, with units."""
    arrays = {name: (dims, np.asarray(values), _attributes(name)) for name, values in variables.items()}
    return xr.Dataset(arrays, coords=_coordinates(dims, arrays, catalog))


def _coordinates(dims, arrays, catalog: Catalog):
    shape = next(iter(arrays.values()))[1].shape if arrays else ()
    counted = {dim: np.arange(n) for dim, n in zip(dims, shape, strict=False) if dim != "star"}
    return counted | {"star": np.asarray(catalog.ids).astype(str)}


def _attributes(name: str) -> dict[str, str]:
    return {"units": UNITS[name]} if name in UNITS else {}


def data_groups(catalog: Catalog) -> dict[str, xr.Dataset]:
    """What was measured: `observed_data` and `constant_data`."""
    coords = {"star": np.asarray(catalog.ids).astype(str), "band": list(catalog.bands)}
    mag, mas, deg = {"units": "mag"}, {"units": "mas"}, {"units": "deg"}
    observed = {
        "magnitude": (("star", "band"), catalog.mag, mag),
        "parallax": ("star", catalog.parallax, mas),
    }
    constant = {
        "magnitude_err": (("star", "band"), catalog.mag_err, mag),
        "magnitude_limit": (("star", "band"), catalog.mag_limit, mag),
        "parallax_err": ("star", catalog.parallax_err, mas),
        "glon": ("star", catalog.glon, deg),
        "glat": ("star", catalog.glat, deg),
        "row": ("star", catalog.row),
    }
    return {"observed_data": xr.Dataset(observed, coords), "constant_data": xr.Dataset(constant, coords)}


def catalog_of(tree: xr.DataTree) -> Catalog:
    """The stars of `data_groups` again, as far as they are needed to judge other draws."""
    data, constant = tree["observed_data"], tree["constant_data"]
    labels, num = labels_of(tree), data.sizes["star"]
    unknown = np.full(num, np.nan)
    no_limit = np.full(data["magnitude"].shape, np.nan)
    return Catalog(
        bands=tuple(map(str, np.asarray(data["band"]))),
        labels=labels,
        mag=data["magnitude"].values,
        mag_err=constant["magnitude_err"].values,
        mag_limit=constant["magnitude_limit"].values if "magnitude_limit" in constant else no_limit,
        parallax=data["parallax"].values,
        parallax_err=constant["parallax_err"].values,
        glon=constant["glon"].values,
        glat=constant["glat"].values,
        theta=np.full((num, len(labels)), np.nan),
        theta_cov=np.full((num, len(labels), len(labels)), np.nan),
        reddening=unknown,
        reddening_err=unknown,
        ids=data["star"].values,
        row=constant["row"].values,
        bad_input=(np.asarray(tree["sample_stats"]["flags"]) & int(Flag.BAD_INPUT)) > 0,
        extra=Table(),
    )


def labels_of(tree: xr.DataTree) -> tuple[str, ...]:
    """Names of the labels."""
    return tuple(tree.attrs["labels"].split(","))


def draws_of(group: xr.Dataset, labels: tuple[str, ...]) -> Draws:
    """The draws of a group, axes (star, chain, draw)."""
    drawn = group.transpose("star", "chain", "draw")
    theta = np.stack([drawn[label] for label in labels], axis=-1)
    return Draws(theta, np.asarray(drawn["distance_modulus"]), np.asarray(drawn["reddening"]))


def by_measurement(log_likelihood: xr.Dataset, observed: xr.Dataset) -> xr.Dataset:
    """The log-likelihood of every magnitude that was measured, of stars that were sampled, in one row."""
    magnitude = log_likelihood[["magnitude"]].transpose("chain", "draw", "star", "band")
    used = np.isfinite(observed["magnitude"].transpose("star", "band").values)
    used &= np.isfinite(magnitude["magnitude"].values[0, 0])
    row = magnitude.stack(measurement=("star", "band")).isel(measurement=np.flatnonzero(used))
    row = row.reset_index("measurement").rename(star="measured_star", band="measured_band")
    return row.assign_coords(measurement=np.arange(row.sizes["measurement"]))


def arviz_version() -> int:
    """The first number of the installed ArviZ's version."""
    import arviz as az

    return int(az.__version__.split(".")[0])


def as_arviz(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> Any:
    """Groups as the installed ArviZ takes them: an `xarray.DataTree` (ArviZ ≥ 1) or an `InferenceData` (ArviZ 0.x)."""
    if arviz_version() >= 1:
        tree = xr.DataTree.from_dict(dict(groups))
        tree.attrs = dict(attrs)
        return tree
    import arviz as az

    return az.InferenceData(attrs=dict(attrs), warn_on_custom_groups=False, **groups)


# Among more names than these a search for a like one takes seconds.
_MAX_LIKE = 20_000


def star_index(ids: np.ndarray, star: str | int) -> int:
    """The place of a star among others, by its id or its place.

    Raises:
        UserError: there is no such star.
    """
    if isinstance(star, str):
        found = np.flatnonzero(np.asarray(ids) == star)
        if not len(found):
            near = get_close_matches(star, [str(each) for each in ids[:_MAX_LIKE]], 1)
            hint = f"the nearest of {len(ids)} is" if near else f"the first of {len(ids)} is"
            raise UserError(f"there is no star {star!r}; {hint} {str((near or ids)[0])!r}.")
        return int(found[0])
    if not -len(ids) <= star < len(ids):
        raise UserError(f"there is no star number {star}; there are {len(ids)}, counted from 0.")
    return int(star) % len(ids)
