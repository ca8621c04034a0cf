"""Qubits driven beyond the rotating-wave approximation: a plugin for powercal."""
