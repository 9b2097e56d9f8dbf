"""A prior from the tables of its file: one function for each kind of part."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.priors.build_dust import DUSTS
from albireo.priors.density import (
    PROFILES,
    Bar,
    DensityLaw,
    Disc,
    EllipsoidalDisc,
    Halo,
    RoundedDisc,
    YoungDisc,
)
from albireo.priors.distance import (
    DistancePrior,
    ExponentiallyDecreasing,
    FlatInDistanceModulus,
    GeneralisedGamma,
    SameEverywhere,
)
from albireo.priors.galactic import GalacticPrior
from albireo.priors.galaxy import Component, Galaxy
from albireo.priors.initial_mass import INITIAL_MASS
from albireo.priors.isochrones import AGE_EDGES
from albireo.priors.lines_of_sight import Sightline, average_over_sky
from albireo.priors.metallicity import DeclineWithHeight, Gradients, MetallicityLaw
from albireo.priors.section import Section
from albireo.priors.stars import IsochroneStars, Population
from albireo.priors.training_stars import TrainingStars


def build_prior(values: dict[str, Any], path: Path, model: StellarModel) -> GalacticPrior:
    """The prior that the tables of a file describe.

    Raises:
        UserError: a key is missing or unknown, or a value is out of range.
    """
    top = Section(values, "", path)
    description = top.text("description")
    stars = top.section("stars")
    isochrones = stars.choice("kind", ("isochrones", "training")) == "isochrones"
    populations = _Populations(needed=isochrones)
    distance, dust = _as_arrays(
        (_build_distance(top.section("distance"), populations), top.section("dust").build(DUSTS))
    )
    top.done()
    anywhere = average_over_sky(distance, dust)
    ages = list(populations.of.values())
    built = _isochrones(stars, model, ages) if isochrones else _training(stars, model, anywhere, ages)
    stars.done()
    return GalacticPrior(built, distance, dust, anywhere, path.stem, description)


_POPULATION = {"youngest_gyr", "oldest_gyr", "alpha_fe", "feh"}  # the keys of ages and metallicities
_SAME_METALLICITY = Gradients(std=1.0, mean=0.0, radial=0.0, vertical=0.0)  # where nobody asks for it


class _Populations:
    """Ages and metallicities: isochrones need them; training stars are shared out by them where they are given."""

    def __init__(self, *, needed: bool) -> None:
        self.needed = needed
        self.of: dict[str, Population] = {}

    def metallicity(self, part: Section, name: str) -> MetallicityLaw:
        """Take those of a component."""
        if not self.needed and _POPULATION.isdisjoint(part.values):
            return _SAME_METALLICITY
        low, high = part.number("youngest_gyr", positive=False), part.number("oldest_gyr")
        if not AGE_EDGES[0] <= low < high <= AGE_EDGES[-1]:
            raise UserError(
                f"{part.path}: {part.where}: ages must rise from youngest_gyr to oldest_gyr between "
                f"{AGE_EDGES[0]:g} and {AGE_EDGES[-1]:g}; got {low:g} and {high:g}."
            )
        self.of[name] = Population((low, high), part.number("alpha_fe", positive=False))
        return part.section("feh").build(_METALLICITIES)


def _as_arrays(tree: Any) -> Any:
    """Numbers as arrays, so that they are arguments of compiled code: priors of the same form then share it."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, float) else leaf, tree)


def _isochrones(section: Section, model: StellarModel, populations: list[Population]) -> IsochroneStars:
    named = "initial_mass_function" in section.values
    function = section.choice("initial_mass_function", tuple(INITIAL_MASS)) if named else "kroupa"
    return IsochroneStars.build(model, populations, function)


def _training(
    section: Section, model: StellarModel, anywhere: Sightline, populations: list[Population]
) -> TrainingStars:
    brightest = section.number("brightest_mag", positive=False)
    faintest = section.number("faintest_mag", positive=False)
    if brightest >= faintest:
        raise UserError(f"{section.path}: stars.brightest_mag must be less than stars.faintest_mag; mend them.")
    return TrainingStars.build(model, anywhere, populations, brightest=brightest, faintest=faintest)


def _alone(section: Section, populations: _Populations) -> MetallicityLaw:
    """Of a single component: training stars need not be shared out, so that they take no ages and metallicities."""
    return populations.metallicity(section, *SameEverywhere.names) if populations.needed else _SAME_METALLICITY


def _build_distance(section: Section, populations: _Populations) -> DistancePrior:
    kind = section.choice("kind", ("galaxy", *_SAME_EVERYWHERE))
    if kind == "galaxy":
        distance = _galaxy(section, populations)
    else:
        distance = _SAME_EVERYWHERE[kind](section, _alone(section, populations))
    section.done()
    return distance


def _disc(section: Section) -> Disc:
    return Disc(
        section.number("scale_length_kpc"), section.number("scale_height_kpc"), section.number("core_kpc", default=0.0)
    )


def _rounded_disc(section: Section) -> RoundedDisc:
    return RoundedDisc(
        section.number("scale_length_kpc"), section.number("scale_height_kpc"), section.number("rounded_height_kpc")
    )


def _ellipsoidal_disc(section: Section, law: type[EllipsoidalDisc]) -> EllipsoidalDisc:
    ratio, length, hole = (section.number(key) for key in ("axis_ratio", "scale_length_kpc", "hole_length_kpc"))
    if hole >= length:
        raise UserError(
            f"{section.path}: {section.where}.hole_length_kpc must be less than scale_length_kpc; got {hole:g}."
        )
    return law(ratio, length, hole)


def _halo(section: Section) -> Halo:
    slope = section.number("slope")
    if "flattening" in section.values:
        center = outer = section.number("flattening")
        scale = 1.0
    else:
        center, outer = section.number("flattening_center"), section.number("flattening_outer")
        scale = section.number("flattening_scale_kpc")
    break_radius, outer_slope = 100.0, slope
    if "break_radius_kpc" in section.values or "outer_slope" in section.values:  # one is nothing without the other
        break_radius, outer_slope = section.number("break_radius_kpc"), section.number("outer_slope")
    return Halo(
        slope=slope,
        flattening_center=center,
        flattening_outer=outer,
        flattening_scale=scale,
        core=section.number("core_kpc"),
        break_radius=break_radius,
        outer_slope=outer_slope,
    )


def _bar(section: Section) -> Bar:
    return Bar(
        length=section.number("length_kpc"),
        width=section.number("width_kpc"),
        height=section.number("height_kpc"),
        boxiness_in_plane=section.number("boxiness_in_plane"),
        boxiness=section.number("boxiness"),
        angle=section.number("angle_deg", positive=False),
        cutoff_radius=section.number("cutoff_radius_kpc"),
        cutoff_width=section.number("cutoff_width_kpc"),
        profile=section.choice("profile", tuple(PROFILES)),
    )


def _galaxy(section: Section, populations: _Populations) -> Galaxy:
    components = {}
    for name, part in section.sections("components").items():
        if "kind" not in part.values:  # as of a component of the file that this one extends, its name misspelt
            raise UserError(f"{part.path}: {part.where} has no kind; mend the component's name, or add a kind.")
        fraction, feh = part.number("fraction"), populations.metallicity(part, name)
        components[name] = Component(part.build(_DENSITIES), fraction, feh)
    if not components:
        raise UserError(f"{section.path}: {section.where}.components is empty; add at least one component.")
    without = [name for name in components if name not in populations.of]
    if 0 < len(without) < len(components):
        raise UserError(
            f"{section.path}: {section.where}.components.{without[0]} has no ages and metallicities; "
            "give them to every component or to none."
        )
    return Galaxy(
        components=tuple(components.values()),
        solar_radius=section.number("solar_radius_kpc"),
        solar_height=section.number("solar_height_kpc", positive=False),
        names=tuple(components),
    )


def _gradients(section: Section) -> Gradients:
    return Gradients(
        std=section.number("std"),
        mean=section.number("mean", positive=False),
        radial=section.number("radial_per_kpc", positive=False),
        vertical=section.number("vertical_per_kpc", positive=False),
    )


def _decline(section: Section) -> DeclineWithHeight:
    return DeclineWithHeight(
        std=section.number("std"),
        plane=section.number("plane", positive=False),
        far=section.number("far", positive=False),
        scale_height=section.number("scale_height_kpc"),
    )


_SAME_EVERYWHERE: dict[str, Callable[[Section, MetallicityLaw], DistancePrior]] = {
    "flat": lambda _, feh: FlatInDistanceModulus(feh),
    "exponentially-decreasing": lambda section, feh: ExponentiallyDecreasing(feh, section.number("scale_kpc")),
    "generalised-gamma": lambda section, feh: GeneralisedGamma(
        feh, *(section.number(key) for key in ("scale_kpc", "alpha", "beta"))
    ),
}
_DENSITIES: dict[str, Callable[[Section], DensityLaw]] = {
    "disc": _disc,
    "rounded-disc": _rounded_disc,
    "ellipsoidal-disc": lambda section: _ellipsoidal_disc(section, EllipsoidalDisc),
    "young-disc": lambda section: _ellipsoidal_disc(section, YoungDisc),
    "halo": _halo,
    "bar": _bar,
}
_METALLICITIES: dict[str, Callable[[Section], MetallicityLaw]] = {
    "gradients": _gradients,
    "decline-with-height": _decline,
}
