"""The surveys' own tables: their columns, cuts on quality, error floors and magnitude systems."""

from albireo.surveys.base import Correction, Cut, Survey
from albireo.surveys.read import find_survey, read, recognise, understood
from albireo.surveys.registry import SURVEYS

__all__ = ["SURVEYS", "Correction", "Cut", "Survey", "find_survey", "read", "recognise", "understood"]
