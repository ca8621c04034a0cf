"""Plain numpy functions turned into expressions: their exact derivatives and quick programs."""

from __future__ import annotations

from powercal.tracing.graph import Graph, Node
from powercal.tracing.slopes import slopes
from powercal.tracing.traced import NotTraceableError, trace

__all__ = ["Graph", "Node", "NotTraceableError", "slopes", "trace"]
