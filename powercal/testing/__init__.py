"""The conformance kit: it tells a plugin author whether a model or a loader keeps its contract.

Subclass in a test module, and pytest runs one test for each clause of the contract::

    from powercal.testing import CoverageContract, LoaderContract, ModelContract

    class TestMyModel(ModelContract):
        model = MY_MODEL

    class TestMyLoader(LoaderContract):
        loader = MY_LOADER
        samples = {"tests/sweep.abc": {"sizes": {"power": 3}}}

    class TestMyErrors(CoverageContract):
        model = MY_MODEL

Without pytest, ``check_model(MY_MODEL)`` and ``check_loader(MY_LOADER, path)`` raise a
``ContractError`` that names the first fault. ``check_coverage(MY_MODEL)`` does so where intervals
do not hold the truth as often as they say.
"""

from powercal.testing.contracts import LoaderContract, ModelContract, check_loader, check_model
from powercal.testing.coverage import check_coverage, measure_coverage
from powercal.testing.coverage_contract import CoverageContract
from powercal.testing.results import check_result
from powercal.testing.simulated import make_traces

__all__ = [
    "CoverageContract",
    "LoaderContract",
    "ModelContract",
    "check_coverage",
    "check_loader",
    "check_model",
    "check_result",
    "make_traces",
    "measure_coverage",
]
