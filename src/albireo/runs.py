"""A finished run of `albireo infer` or `albireo demo`, as its folder holds it: for figures and the report page."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from albireo.catalog import Catalog
from albireo.errors import UserError
from albireo.fingerprint import digest, fingerprint
from albireo.groups import star_index
from albireo.scale.manifest import DATASET, DRAWS, MANIFEST, POSTERIOR, SUMMARY

if TYPE_CHECKING:
    from albireo.posterior import Posterior
    from albireo.samplers import Problem

# Rows of the input that are read at a time.
_NUM_READ = 100_000


@dataclass(frozen=True)
class Run:
    """A run's results.

    Attributes:
        folder: where it is.
        summary: the summary's rows, of all stars or of those that were chosen at random, in the order of the run.
        num_stars: how many stars the run has.
        flags: how many of all stars have each value of `flags`.
        engines: how many of all stars each engine served; empty where that is not known.
        manifest: `versions` and `settings` of the run; empty if its folder does not say.
    """

    folder: Path
    summary: pd.DataFrame
    num_stars: int
    flags: Counter[int]
    engines: Counter[str]
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: Path, max_stars: int | None = None, seed: int = 0) -> "Run":
        """Read a run's folder, with at most so many of its stars, chosen at random by the seed.

        Raises:
            UserError: it holds no finished run.
        """
        import pyarrow as pa
        from pyarrow import dataset

        source = next((folder / name for name in (SUMMARY, DATASET) if (folder / name).exists()), None)
        if source is None:
            raise UserError(f"{folder} holds no {SUMMARY}; give the folder of a finished run of `albireo infer`.")
        try:
            table = dataset.dataset(source, format="parquet", exclude_invalid_files=source.is_dir())
            missing = [name for name in ("star", "row", "flags", "teff_p50") if name not in table.schema.names]
            if missing:
                raise UserError(f"{source} has no column {missing[0]}; infer the stars again with this version.")
            counted = [name for name in ("flags", "engine") if name in table.schema.names]
            of_all = table.to_table(columns=counted)
            num, rows = len(of_all), np.arange(len(of_all))
            if max_stars is not None and num > max_stars:
                rows = np.sort(np.random.default_rng(seed).choice(num, max_stars, replace=False))
            summary = table.take(rows).to_pandas(ignore_metadata=True)
        except (pa.ArrowException, OSError) as error:
            cause = " ".join(str(error).split())[:200]
            raise UserError(f"{source} could not be read ({cause}); infer the stars again.") from None
        engines = Counter(of_all["engine"].to_pylist()) if "engine" in counted else Counter()
        return cls(folder, summary, num, Counter(of_all["flags"].to_pylist()), engines, _read_manifest(folder))

    @property
    def settings(self) -> dict[str, Any]:
        """What the run was asked for."""
        return self.manifest.get("settings", {})

    @property
    def has_draws(self) -> bool:
        """Whether any draws are in the folder."""
        return bool(self._draws_files())

    @property
    def of_hats(self) -> bool:
        """Whether it was inferred from a HATS catalogue."""
        return (self.folder / DATASET).is_dir()

    def index(self, star: str | None) -> int:
        """The place of a star in the summary; of the first one that could be sampled where none is asked for.

        Raises:
            UserError: there is no such star.
        """
        if star is None:
            return int(np.argmax(np.isfinite(np.asarray(self.summary["teff_p50"], float))))
        return star_index(np.asarray(self.summary["star"], str), star)

    def posterior(self, index: int) -> "Posterior":
        """The draws of one star of the summary, with model and prior where they are still known.

        Raises:
            UserError: the folder does not hold them.
        """
        for places, posterior in self.posteriors(np.array([index])):
            if len(places):
                return posterior
        star = self.summary["star"].iloc[index]
        if self.of_hats:
            raise UserError(
                f"{self.folder} is of a HATS catalogue, whose draws are not kept; infer {star} from a table of its own."
            )
        raise UserError(f"{self.folder} holds no draws of {star}; infer the stars again with `--draws`.")

    def posteriors(
        self, chosen: Int[np.ndarray, " chosen"] | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " some"], "Posterior"]]:
        """The draws of stars of the summary, file by file: their places in the summary, and their posterior.

        Args:
            chosen: places in the summary; all by default.
        """
        from albireo.posterior import Posterior

        chosen = np.arange(len(self.summary)) if chosen is None else chosen
        place_of = dict(zip(np.asarray(self.summary["row"])[chosen], chosen, strict=True))
        for path in self._draws_files():
            here = [(i, place_of[row]) for i, row in enumerate(_rows_of(path)) if row in place_of]
            if here:
                index, places = np.array(here).T
                yield places, Posterior.load(path, **self._of_problem)[index]

    def problem(self) -> "Problem":
        """The model and the prior that the run was made with.

        Raises:
            UserError: they are not where they were, or have changed since.
        """
        from albireo.model import load_model
        from albireo.priors import load_prior
        from albireo.samplers import Problem

        if "model" not in self.settings or "prior" not in self.settings:
            raise UserError(f"{self.folder / MANIFEST} does not say what model and prior the run had; infer again.")
        model, setting = load_model(self._model_path()), self.settings["prior"]
        name = setting if isinstance(setting, str) else setting.get("path", setting.get("name"))
        prior = load_prior(name, model)
        if isinstance(setting, dict) and setting.get("values", digest(prior)) != digest(prior):
            raise UserError(f"the prior {name} is not what it was when {self.folder} was inferred; infer again.")
        return Problem(model if self.settings.get("spread", False) else model.with_spread(None), prior)

    def catalog(self) -> Catalog:
        """The stars of the summary as the run's input has them: the bands and labels of its model.

        Raises:
            UserError: the input is not where it was, has changed since, or is a HATS catalogue.
        """
        if self.of_hats:
            raise UserError(
                f"this needs magnitudes or labels of a table, and {self.folder} is of a HATS catalogue; "
                "infer the stars to be shown from a table of their own."
            )
        setting = self.settings.get("input")
        if not setting:
            raise UserError(f"{self.folder} does not say which table it was inferred from; infer that table again.")
        path = Path(setting.get("path", setting.get("name", "")) if isinstance(setting, dict) else setting)
        if not path.is_file():
            raise UserError(
                f"this needs the table that {self.folder} was inferred from, and {path} is gone; put it back."
            )
        if isinstance(setting, dict) and fingerprint(path).get("sha256") != setting.get("sha256"):
            raise UserError(f"{path} is not the table that {self.folder} was inferred from; put that one back.")
        table = _read_rows(path, np.asarray(self.summary["row"]))
        names = {}
        if self._of_problem:
            model = self._of_problem["model"]
            names = {"bands": model.bands, "labels": model.labels}
        return Catalog.from_table(table, **names, checked=True)

    def _model_path(self) -> Path:
        """The file of the run's model: where it was, or among the bundled ones."""
        from albireo.model.io import bundled_models, model_path

        setting = self.settings["model"]
        if isinstance(setting, str):
            return model_path(setting)
        paths = [Path(setting.get("path", "")), *map(model_path, bundled_models())]
        for path in paths:
            if fingerprint(path).get("sha256") == setting.get("sha256", ""):
                return path
        raise UserError(f"the model {paths[0]} of {self.folder} is gone or has changed; put it back, or infer again.")

    @cached_property
    def _of_problem(self) -> dict[str, Any]:
        """Model and prior for `Posterior.load`, or nothing where they are not to be had."""
        try:
            problem = self.problem()
        except UserError:
            return {}
        return {"model": problem.model, "prior": problem.prior}

    def _draws_files(self) -> list[Path]:
        single = self.folder / POSTERIOR
        return [single] if single.is_file() else sorted((self.folder / DRAWS).glob("*.nc"))


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        return json.loads(path.read_text()) if path.is_file() else {}
    except (OSError, ValueError):
        raise UserError(f"{path} is damaged; infer the stars again.") from None


def _rows_of(path: Path) -> list[int]:
    """Rows of the input whose stars a file of draws holds."""
    import xarray as xr

    try:
        with xr.open_dataset(path, group="constant_data", engine="h5netcdf") as constant:
            return constant["row"].values.tolist()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read as netCDF ({error}); infer the stars again.") from None


def _read_rows(path: Path, rows: Int[np.ndarray, " star"]):
    """Some rows of a table file, in rising order, with only a part of the file in memory."""
    from astropy.table import vstack

    from albireo.scale.rows import open_rows

    table, parts = open_rows(path), []
    for start in range(0, len(table), _NUM_READ):
        here = rows[(rows >= start) & (rows < start + _NUM_READ)]
        if len(here):
            parts.append(table[start : start + _NUM_READ][here - start])
    return vstack(parts, metadata_conflicts="silent")
