"""How a model is trained: one frozen object, with presets and a TOML form."""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albireo.errors import UserError
from albireo.model.domain import GREEN2020_BANDWIDTH

_POSITIVE = (
    *("iterations", "epochs", "batch_size", "learning_rate", "decay_iterations", "density_components"),
    *("refine_batch_size", "refine_learning_rate", "chi2_cut_start", "chi2_cut_end", "chi2_cut_iterations"),
)
_NOT_NEGATIVE = (
    "l2",
    "l1",
    "refine_epochs",
    "members",
    "error_floor",
    "floor_in_errors",
    "max_first_reddening_err",
    "min_parallax_snr",
    "seed",
    "split_seed",
)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Every choice of the training; the defaults are the schedule of Green et al. (2021), section 4.

    Attributes:
        hidden: sizes of the hidden layers of M.
        iterations: how often covariances and reddenings are updated.
        epochs: passes through the stars in an iteration.
        batch_size: stars in a step.
        learning_rate: step size of Adam in the first iteration.
        decay_iterations: iterations in which the learning rate falls by a factor e.
        l2: λ_s of Eq. (15), on the squared weights of M.
        l1: λ_r of Eq. (15), on the absolute weights of R.
        error_floor: added in quadrature to the errors of magnitudes [mag] (section 3.4).
        floor_in_errors: what the errors of the table hold already of such a floor [mag]; it is taken off first.
        scatter: whether the scatter of real stars about the model is learned at the end; in inference it takes the
            place of the floor.
        members: networks trained beside the model's own, each on its own resampling of the stars (bootstrap); they
            become the model's spread. 0 leaves it out.
        average: decay of the running mean of the weights over steps that becomes the model; 0 takes the last weights.
        refine_epochs: passes of the last stage, which differentiates covariances too; 0 leaves the stage out.
        refine_batch_size: stars in a step of it.
        refine_learning_rate: first step size of Adam in it.
        update_reddening: whether reddenings are updated by Eqs. (8) and (9).
        max_first_reddening_err: stars with a larger reddening error [mag] sit out the first iteration.
        chi2_cut_start: stars with a larger χ²/dof sit out the second iteration.
        chi2_cut_end: the cut of the last iterations.
        chi2_cut_iterations: iterations until the cut reaches its end, in equal steps of its logarithm.
        min_parallax_snr: below this signal-to-noise ratio a parallax leaves the distance modulus unconstrained.
        parallax_prior_slope: d ln p / d ln ϖ of the parallax prior in Eq. (A17); None leaves the correction out.
        split: fractions of training, validation and test stars.
        split_seed: seed of the split.
        seed: seed of the starting weights and of the order of the stars.
        density_components: Gaussians in the density of the training stars.
        bandwidth: kernel width of the domain for every label, in its own unit.
    """

    hidden: tuple[int, ...] = (32, 32)
    iterations: int = 20
    epochs: int = 25
    batch_size: int = 1024
    learning_rate: float = 1e-3
    decay_iterations: float = 5.0
    l2: float = 1e-4
    l1: float = 1e-2
    error_floor: float = 0.02
    floor_in_errors: float = 0.0
    scatter: bool = False
    members: int = 0
    average: float = 0.0
    refine_epochs: int = 0
    refine_batch_size: int = 128
    refine_learning_rate: float = 1e-3
    update_reddening: bool = True
    max_first_reddening_err: float = 0.2
    chi2_cut_start: float = 100.0
    chi2_cut_end: float = 5.0
    chi2_cut_iterations: int = 15
    min_parallax_snr: float = 5.0
    parallax_prior_slope: float | None = None
    split: tuple[float, float, float] = (0.7, 0.2, 0.1)
    split_seed: int = 0
    seed: int = 0
    density_components: int = 32
    bandwidth: Mapping[str, float] = dataclasses.field(default_factory=lambda: dict(GREEN2020_BANDWIDTH), hash=False)

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant."""
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"training option {name} must be positive and finite; got {getattr(self, name)!r}.")
        for name in _NOT_NEGATIVE:
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"training option {name} must be finite, not negative; got {getattr(self, name)!r}.")
        for name, largest in (("seed", 2**32 - 1), ("split_seed", 2**32 - 1), ("density_components", 1000)):
            if getattr(self, name) > largest:
                raise UserError(f"training option {name} must be at most {largest}; got {getattr(self, name)!r}.")
        if self.parallax_prior_slope is not None and not math.isfinite(self.parallax_prior_slope):
            raise UserError(f"training option parallax_prior_slope must be finite; got {self.parallax_prior_slope!r}.")
        if not self.bandwidth or not all(0 < width < math.inf for width in self.bandwidth.values()):
            raise UserError(f"training option bandwidth must be positive and finite; got {dict(self.bandwidth)!r}.")
        if not self.hidden or min(self.hidden) < 1:
            raise UserError(f"training option hidden must list sizes of at least 1; got {self.hidden!r}.")
        sizes_fit = len(self.split) == 3 and min(self.split) >= 0 and abs(sum(self.split) - 1) <= 1e-6
        if not sizes_fit or self.split[0] == 0:
            raise UserError(f"training option split must be three fractions that sum to 1; got {self.split!r}.")
        if self.members == 1:
            raise UserError("training option members must be 0, or at least 2, for one network has no spread; got 1.")
        if not 0 <= self.average < 1:
            raise UserError(f"training option average must be at least 0 and below 1; got {self.average!r}.")

    @property
    def num_epochs(self) -> int:
        """Passes through the stars in all."""
        return self.iterations * self.epochs + self.refine_epochs

    def learning_rate_at(self, iteration: int) -> float:
        """Step size in an iteration."""
        return self.learning_rate * math.exp(-iteration / self.decay_iterations)

    def chi2_cut_after(self, iteration: int) -> float:
        """Largest χ²/dof of stars that stay after an iteration."""
        progress = min(iteration / max(self.chi2_cut_iterations - 1, 1), 1.0)
        return self.chi2_cut_start * (self.chi2_cut_end / self.chi2_cut_start) ** progress

    @classmethod
    def preset(cls, name: str) -> "TrainingConfig":
        """A named configuration: `paper`, or `default`, which made the bundled model."""
        if name not in PRESETS:
            raise UserError(f"there is no training preset {name!r}; choose one of {', '.join(PRESETS)}.")
        return cls(**PRESETS[name])

    @classmethod
    def from_toml(cls, path: str | Path) -> "TrainingConfig":
        """Read a configuration: keys are the attributes; `preset = "paper"` sets those that are not given.

        Raises:
            UserError: no such file, not TOML, an unknown key, or a value of the wrong kind.
        """
        try:
            given = tomllib.loads(Path(path).read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"the training configuration {path} cannot be read: {error}.") from None
        return cls.from_dict(given, where=f"the training configuration {path}")

    @classmethod
    def from_dict(cls, given: Mapping[str, Any], *, where: str = "the training configuration") -> "TrainingConfig":
        """From plain values, as `from_toml` reads them and `to_dict` writes them."""
        given = dict(given)
        preset = cls.preset(given.pop("preset", "default"))
        fields = {field.name: getattr(preset, field.name) for field in dataclasses.fields(cls)}
        unknown = sorted(given.keys() - fields.keys())
        if unknown:
            raise UserError(f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(fields))}.")
        values = {k: _as_kind(k, v, fields[k], where) for k, v in given.items()}
        if "bandwidth" in values:  # of one more label, mostly: those of the usual ones stay
            values["bandwidth"] = {**preset.bandwidth, **values["bandwidth"]}
        return dataclasses.replace(preset, **values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a model's metadata."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"batch_size": 32},  # that of Keras where none is given; the paper states none
    "default": {
        "hidden": (64, 64),
        "epochs": 60,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "l2": 1e-5,
        "average": 0.999,
        "refine_epochs": 50,
        "scatter": True,
        "members": 4,
    },
}


def _as_kind(key: str, value: Any, like: Any, where: str) -> Any:
    """The value in the kind of the default.

    Raises:
        UserError: it is of another kind.
    """
    if key == "parallax_prior_slope" and (value is None or _is_number(value)):
        return value
    if isinstance(like, tuple):
        fits = isinstance(value, list | tuple) and all(_is_like(v, like[0]) for v in value)
    elif isinstance(like, Mapping):
        fits = isinstance(value, Mapping) and all(map(_is_number, value.values()))
    else:
        fits = _is_like(value, like)
    if not fits:
        raise UserError(f"{where}: {key} must be like {like!r}; got {value!r}.")
    if isinstance(like, tuple):
        return tuple(type(like[0])(v) for v in value)
    return float(value) if isinstance(like, float) else value


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_like(value, like):
    return _is_number(value) if isinstance(like, float) else type(value) is type(like)
