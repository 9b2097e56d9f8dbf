"""Priors by name, from a TOML file, or registered by a third party."""

import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.priors.base import METHODS, Prior
from albireo.priors.distance import (
    Component,
    Disc,
    DistancePrior,
    ExponentiallyDecreasing,
    FlatInDistanceModulus,
    Galaxy,
    Halo,
    MetallicityGradient,
)
from albireo.priors.dust import DustDisc, DustMap, Exponential, TruncatedNormal
from albireo.priors.dust_cap import UNITS, DustCap
from albireo.priors.galactic import GalacticPrior
from albireo.priors.isochrones import AGE_EDGES
from albireo.priors.lines_of_sight import Sightline, average_over_sky
from albireo.priors.stars import IsochroneStars, Population, StarsPrior, TrainingStars

ENTRY_POINT_GROUP = "albireo.priors"
# The files ship with the package; in a checkout they are the folder priors/ at its top.
_FOLDERS = (Path(__file__).parent / "library", Path(__file__).parents[3] / "priors")


def list_priors() -> list[tuple[str, str]]:
    """Names of all priors that can be loaded by name, each with a line about it."""
    files = [(path.stem, _read(path).get("description", "")) for path in _files().values()]
    plugins = [(entry.name, f"from {entry.value}") for entry in entry_points(group=ENTRY_POINT_GROUP)]
    return sorted(files + plugins)


def load_prior(name: str | Path | Prior, model: StellarModel) -> Prior:
    """A prior by name or by the path of a TOML file; an object with the methods of a prior is returned as it is.

    A name registered under the entry-point group `albireo.priors` is called with the model and returns the prior.

    Raises:
        UserError: no such prior, not a TOML file, an unknown key or a value out of range, or an object without the
            methods.
    """
    if not isinstance(name, str | Path):
        for method in METHODS:
            if not callable(getattr(name, method, None)):
                raise UserError(f"a prior needs the method {method}; {type(name).__name__} lacks it.")
        return name
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UserError(f"there is no prior file {path}; `albireo priors` lists the priors known by name.")
        return _build(_read(path), path, model)
    if str(name) in _files():
        return _build(_read(_files()[str(name)]), _files()[str(name)], model)
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=str(name)):
        return entry.load()(model)
    known = ", ".join(known for known, _ in list_priors())
    raise UserError(f"there is no prior {str(name)!r}; choose one of {known}, or give the path of a TOML file.")


def _files() -> dict[str, Path]:
    return {path.stem: path for folder in _FOLDERS if folder.is_dir() for path in sorted(folder.glob("*.toml"))}


def _read(path: Path) -> dict[str, Any]:
    """The tables of a file, over those of the prior that it extends."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"the prior file {path} cannot be read as TOML: {error}; mend that line.") from None
    if "extends" not in values:
        return values
    base = values.pop("extends")
    others = {name: file for name, file in _files().items() if file != path}
    if base not in others:
        raise UserError(f"{path}: extends must be one of {', '.join(sorted(others))}; got {base!r}.")
    return _merge(_read(others[base]), values)


def _merge(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key, but for one that names another kind, which stands alone."""
    merged = dict(base)
    for key, value in values.items():
        tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if tables and "kind" not in value else value
    return merged


class _Section:
    """A table of the file, of which every key must be asked for."""

    def __init__(self, values: Any, where: str, path: Path) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{path}: {where} must be a table, not {values!r}.")
        self.values, self.where, self.path = dict(values), where, path

    def text(self, key: str) -> str:
        value = self._pop(key)
        if not isinstance(value, str):
            raise UserError(f"{self.path}: {self._name(key)} must be text; got {value!r}.")
        return value

    def number(self, key: str, *, positive: bool = True) -> float:
        value = self._pop(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            raise UserError(f"{self.path}: {self._name(key)} must be a finite number; got {value!r}.")
        if positive and value <= 0:
            raise UserError(f"{self.path}: {self._name(key)} must be greater than 0; got {value!r}.")
        return float(value)

    def section(self, key: str) -> "_Section":
        return _Section(self._pop(key), self._name(key), self.path)

    def sections(self, key: str) -> "dict[str, _Section]":
        group = self.section(key)
        return {name: group.section(name) for name in list(group.values)}

    def done(self) -> None:
        if self.values:
            key = next(iter(self.values))
            raise UserError(f"{self.path}: unknown key {self._name(key)!r}; remove it or mend its name.")

    def _pop(self, key: str) -> Any:
        if key not in self.values:
            raise UserError(f"{self.path}: {self._name(key)!r} is missing; add it.")
        return self.values.pop(key)

    def _name(self, key: str) -> str:
        return f"{self.where}.{key}".lstrip(".")


def _build(values: dict[str, Any], path: Path, model: StellarModel) -> GalacticPrior:
    top = _Section(values, "", path)
    description = top.text("description")
    distance, populations = _build_distance(top.section("distance"), path)
    distance, dust = _as_arrays((distance, _build_kind(top.section("dust"), _DUSTS)))
    anywhere = average_over_sky(distance, dust)
    stars = _build_stars(top.section("stars"), model, anywhere, populations)
    top.done()
    return GalacticPrior(stars, distance, dust, anywhere, path.stem, description)


def _as_arrays(tree: Any) -> Any:
    """Numbers as arrays, so that they are arguments of compiled code: priors of the same form then share it."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, float) else leaf, tree)


def _build_stars(
    section: _Section, model: StellarModel, anywhere: Sightline, populations: dict[str, Population | None]
) -> StarsPrior:
    kind = section.text("kind")
    if kind == "training":
        brightest = section.number("brightest_mag", positive=False)
        faintest = section.number("faintest_mag", positive=False)
        section.done()
        given = [name for name, population in populations.items() if population]
        if given:
            raise UserError(
                f'{section.path}: [{given[0]}.population] is for stars.kind "isochrones"; remove one of them.'
            )
        if brightest >= faintest:
            raise UserError(f"{section.path}: stars.brightest_mag must be less than stars.faintest_mag; mend them.")
        return TrainingStars.build(model, anywhere, brightest=brightest, faintest=faintest)
    if kind != "isochrones":
        raise UserError(f"{section.path}: stars.kind must be one of isochrones, training; got {kind!r}.")
    section.done()
    without = [name for name, population in populations.items() if population is None]
    if without:
        raise UserError(
            f'{section.path}: stars.kind "isochrones" needs to know of which stars {without[0]} consists; '
            f"add a table [{without[0]}.population]."
        )
    return IsochroneStars.build(model, [population for population in populations.values() if population])


def _build_distance(section: _Section, path: Path) -> tuple[DistancePrior, dict[str, Population | None]]:
    """The distance prior, and the population of each of its components."""
    kind = section.text("kind")
    if kind == "galaxy":
        distance, populations = _galaxy(section)
    elif kind in ("flat", "exponentially-decreasing"):
        feh, population = _population(section)
        if kind == "flat":
            distance = FlatInDistanceModulus(feh)
        else:
            distance = ExponentiallyDecreasing(feh, section.number("scale_kpc"))
        populations = {"distance": population}
    else:
        raise UserError(f"{path}: distance.kind must be one of exponentially-decreasing, flat, galaxy; got {kind!r}.")
    section.done()
    return distance, populations


def _build_kind(section: _Section, kinds: dict[str, Callable[[_Section], Any]]) -> Any:
    kind = section.text("kind")
    if kind not in kinds:
        raise UserError(
            f"{section.path}: {section.where}.kind must be one of {', '.join(sorted(kinds))}; got {kind!r}."
        )
    built = kinds[kind](section)
    section.done()
    return built


def _disc(section: _Section) -> Disc:
    return Disc(section.number("scale_length_kpc"), section.number("scale_height_kpc"))


def _halo(section: _Section) -> Halo:
    return Halo(
        slope=section.number("slope"),
        flattening_center=section.number("flattening_center"),
        flattening_outer=section.number("flattening_outer"),
        flattening_scale=section.number("flattening_scale_kpc"),
        core=section.number("core_kpc"),
    )


def _galaxy(section: _Section) -> tuple[Galaxy, dict[str, Population | None]]:
    components, populations = {}, {}
    for name, part in section.sections("components").items():
        feh, populations[part.where] = _population(part)
        fraction = part.number("fraction")
        components[name] = Component(_build_kind(part, {"disc": _disc, "halo": _halo}), fraction, feh)
    if not components:
        raise UserError(f"{section.path}: {section.where}.components is empty; add at least one component.")
    galaxy = Galaxy(
        components=tuple(components.values()),
        solar_radius=section.number("solar_radius_kpc"),
        solar_height=section.number("solar_height_kpc", positive=False),
        names=tuple(components),
    )
    return galaxy, populations


def _population(section: _Section) -> tuple[MetallicityGradient, Population | None]:
    """The table `population` of a component, which only isochrones need."""
    if "population" not in section.values:
        return MetallicityGradient(0.0, 1.0, 0.0, 0.0), None
    part = section.section("population")
    low, high = part.number("youngest_gyr", positive=False), part.number("oldest_gyr")
    if not AGE_EDGES[0] <= low < high <= AGE_EDGES[-1]:
        raise UserError(
            f"{part.path}: {part.where}: ages must rise from youngest_gyr to oldest_gyr between "
            f"{AGE_EDGES[0]:g} and {AGE_EDGES[-1]:g}; got {low:g} and {high:g}."
        )
    feh = MetallicityGradient(
        mean=part.number("feh_mean", positive=False),
        std=part.number("feh_std"),
        radial=part.number("feh_radial_gradient_per_kpc", positive=False),
        vertical=part.number("feh_vertical_gradient_per_kpc", positive=False),
    )
    population = Population((low, high), part.number("alpha_fe", positive=False))
    part.done()
    return feh, population


def _dust_map(section: _Section) -> DustMap:
    file = section.path.parent / section.text("file")
    reddening = _load_array(file, section)
    ordering = section.text("ordering")
    if ordering not in ("nested", "ring"):
        raise UserError(f"{section.path}: {section.where}.ordering must be nested or ring; got {ordering!r}.")
    first, last = (section.number(f"{end}_distance_modulus_mag", positive=False) for end in ("first", "last"))
    try:
        return DustMap.from_array(
            reddening,
            np.linspace(first, last, np.shape(reddening)[-1] if np.ndim(reddening) else 1),
            nested=ordering == "nested",
            nearest=section.number("reliable_from_mag", positive=False),
            farthest=section.number("reliable_to_mag", positive=False),
            fractional=section.number("fractional_scatter"),
            absolute=section.number("absolute_scatter_mag"),
        )
    except UserError as error:
        raise UserError(f"{section.path}: {section.where}.file {file}: {error}") from None


def _load_array(file: Path, section: _Section) -> np.ndarray:
    try:
        array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):  # an archive of several
            array.close()
            raise ValueError
    except (OSError, ValueError, EOFError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "no array, or damaged"
        raise UserError(
            f"{section.path}: {section.where}.file {file} cannot be read ({cause}); "
            "name a .npy file with a row for each HEALPix pixel."
        ) from None
    return array


def _dust_cap(section: _Section) -> DustCap:
    file = section.path.parent / section.text("file")
    settings = {
        "units": section.text("units"),
        "scale_height": section.number("scale_height_kpc"),
        "scale_length": section.number("scale_length_kpc"),
        "fractional": section.number("fractional_scatter"),
        "absolute": section.number("absolute_scatter_mag"),
    }
    if settings["units"] not in UNITS:
        raise UserError(
            f"{section.path}: {section.where}.units must be one of {', '.join(UNITS)}; got {settings['units']!r}."
        )
    try:
        return DustCap.read(file, **settings)
    except UserError as error:
        named = "" if str(file) in str(error) else f" {file}"
        raise UserError(f"{section.path}: {section.where}.file{named}: {error}") from None


_DUSTS: dict[str, Callable[[_Section], Any]] = {
    "exponential": lambda section: Exponential(section.number("mean_mag")),
    "truncated-normal": lambda section: TruncatedNormal(
        section.number("mean_mag", positive=False), section.number("std_mag")
    ),
    "map": _dust_map,
    "cap": _dust_cap,
    "disc": lambda section: DustDisc(
        section.number("midplane_mag_per_kpc"), section.number("scale_height_kpc"), section.number("floor_mag")
    ),
}
