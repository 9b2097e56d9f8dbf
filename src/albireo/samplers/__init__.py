"""Samplers: NUTS, nested sampling and importance sampling of the same posterior."""

from collections.abc import Mapping
from typing import Any

from albireo.samplers.base import Batch, Draws, Problem, Sampler
from albireo.samplers.importance import Importance
from albireo.samplers.nested import Nested
from albireo.samplers.nuts import NUTS
from albireo.samplers.proposal import FirstLook

SAMPLERS: Mapping[str, Any] = {"nuts": NUTS, "nested": Nested, "importance": Importance}

__all__ = ["NUTS", "SAMPLERS", "Batch", "Draws", "FirstLook", "Importance", "Nested", "Problem", "Sampler"]
