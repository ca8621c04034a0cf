"""A fit result in words: the page that a person reads, the plain data that a program reads."""

from __future__ import annotations

from powercal.text.numbers import engineering, readable_unit, shorthand
from powercal.text.page import describe
from powercal.text.plain import to_json

__all__ = ["describe", "engineering", "readable_unit", "shorthand", "to_json"]
