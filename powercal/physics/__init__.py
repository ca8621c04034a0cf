"""The physics: pure functions of arrays in SI units, each with its source, numpy and scipy only."""
