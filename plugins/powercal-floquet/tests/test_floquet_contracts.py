"""Both models keep powercal's contract."""

from __future__ import annotations

from powercal_floquet.channels import FLOQUET_CHANNELS
from powercal_floquet.model import FLOQUET

from powercal.testing import ModelContract


class TestFloquet(ModelContract):
    model = FLOQUET


class TestFloquetChannels(ModelContract):
    model = FLOQUET_CHANNELS
