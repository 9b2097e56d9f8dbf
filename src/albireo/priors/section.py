"""Tables of a TOML file, of which every key must be asked for."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from albireo.errors import UserError

Part = TypeVar("Part")
_LARGEST = float(np.finfo(np.float32).max)  # priors hold their numbers in single precision


class Section:
    """A table of the file. Each method takes a key from it; `done` refuses what is left."""

    def __init__(self, values: Any, where: str, path: Path) -> None:
        if not isinstance(values, dict):
            raise UserError(f"{path}: {where} must be a table, not {values!r}.")
        self.values, self.where, self.path = dict(values), where, path

    def text(self, key: str) -> str:
        """A text."""
        value = self._pop(key)
        if not isinstance(value, str):
            raise UserError(f"{self.path}: {self._name(key)} must be text; got {value!r}.")
        return value

    def choice(self, key: str, among: tuple[str, ...]) -> str:
        """A text that is one of these."""
        value = self.text(key)
        if value not in among:
            raise UserError(f"{self.path}: {self._name(key)} must be one of {', '.join(sorted(among))}; got {value!r}.")
        return value

    def number(self, key: str, *, positive: bool = True, default: float | None = None) -> float:
        """A finite number, greater than 0 or the default if `positive`."""
        if default is not None and key not in self.values:
            return default
        value = self._pop(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise UserError(f"{self.path}: {self._name(key)} must be a finite number; got {value!r}.")
        if positive and value <= 0 and value != default:
            raise UserError(f"{self.path}: {self._name(key)} must be greater than 0; got {value!r}.")
        return float(value)

    def section(self, key: str) -> "Section":
        """A table within."""
        return Section(self._pop(key), self._name(key), self.path)

    def sections(self, key: str) -> "dict[str, Section]":
        """A table of tables."""
        group = self.section(key)
        return {name: group.section(name) for name in list(group.values)}

    def build(self, kinds: "Mapping[str, Callable[[Section], Part]]") -> Part:
        """What the function of its key `kind` makes of the table, which must take every key."""
        built = kinds[self.choice("kind", tuple(kinds))](self)
        self.done()
        return built

    def done(self) -> None:
        """Refuse a key that nobody asked for."""
        if self.values:
            key = next(iter(self.values))
            raise UserError(f"{self.path}: unknown key {self._name(key)!r}; remove it or mend its name.")

    def _pop(self, key: str) -> Any:
        if key not in self.values:
            raise UserError(f"{self.path}: {self._name(key)!r} is missing; add it.")
        return self.values.pop(key)

    def _name(self, key: str) -> str:
        return f"{self.where}.{key}".lstrip(".")
