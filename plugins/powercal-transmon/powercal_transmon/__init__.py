"""Models of driven transmons for powercal: more than two levels, their leakage and line shifts."""
