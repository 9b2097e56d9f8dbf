"""Priors by name, from a TOML file, or registered by a third party."""

import tomllib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from albireo.errors import UserError
from albireo.model import StellarModel
from albireo.priors.base import METHODS, Prior
from albireo.priors.build import build_prior

ENTRY_POINT_GROUP = "albireo.priors"
# The files ship with the package; in a checkout they are the folder priors/ at its top.
_FOLDERS = (Path(__file__).parent / "library", Path(__file__).parents[3] / "priors")


def list_priors() -> list[tuple[str, str]]:
    """Names of all priors that can be loaded by name, each with a line about it."""
    files = [(path.stem, _read(path).get("description", "")) for path in _files().values()]
    registered = [entry for entry in entry_points(group=ENTRY_POINT_GROUP) if entry.name not in _files()]
    return sorted(files + [(entry.name, f"from {entry.value}") for entry in registered])


def load_prior(name: str | Path | Prior, model: StellarModel) -> Prior:
    """A prior by name or by the path of a TOML file; an object with the methods of a prior is returned as it is.

    A name registered under the entry-point group `albireo.priors` is called with the model and returns the prior; it
    does not replace a prior that comes with albireo.

    Raises:
        UserError: no such prior, not a TOML file, an unknown key or a value out of range, an object without the
            methods, or a package whose prior cannot be made.
    """
    if not isinstance(name, str | Path):
        return _check_methods(name)
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UserError(f"there is no prior file {path}; `albireo priors` lists the priors known by name.")
        return build_prior(_read(path), path, model)
    if str(name) in _files():
        return build_prior(_read(_files()[str(name)]), _files()[str(name)], model)
    for entry in entry_points(group=ENTRY_POINT_GROUP, name=str(name)):
        return _make_registered(entry, model)
    known = ", ".join(known for known, _ in list_priors())
    raise UserError(f"there is no prior {str(name)!r}; choose one of {known}, or give the path of a TOML file.")


def _check_methods(prior: Any) -> Prior:
    if isinstance(prior, type):
        raise UserError(f"a prior must be an object, not the class {prior.__name__}; make one of it.")
    for method in METHODS:
        if not callable(getattr(prior, method, None)):
            raise UserError(f"a prior needs the method {method}; {type(prior).__name__} lacks it.")
    return prior


def _make_registered(entry: EntryPoint, model: StellarModel) -> Prior:
    try:
        return _check_methods(entry.load()(model))
    except UserError as error:
        raise UserError(f"the prior {entry.name!r} of {entry.value}: {error}") from None
    except Exception as error:  # whatever foreign code may raise
        cause = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(
            f"the prior {entry.name!r} of {entry.value} cannot be made ({cause}); mend its package."
        ) from error


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
    if not isinstance(base, str) or base not in others:
        raise UserError(f"{path}: extends must be one of {', '.join(sorted(others))}; got {base!r}.")
    return _merge(_read(others[base]), values)


def _merge(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Tables are merged key by key, but for one that names another kind, which stands alone."""
    merged = dict(base)
    for key, value in values.items():
        tables = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if tables and "kind" not in value else value
    return merged
