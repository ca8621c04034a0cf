"""The contracts as classes for pytest, one test for each clause, and as two plain functions."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from powercal.contracts import Loader, Model
from powercal.errors import ContractError
from powercal.schema import DeviceTraces
from powercal.testing import batches, curves, guesses, loaders
from powercal.testing.pulls import check_pulls
from powercal.testing.simulated import make_traces

# Purity first: a curve that writes into its inputs fails the others for reasons that mislead.
_CLAUSES = (
    curves.check_pure,
    curves.check_shapes,
    curves.check_batches,
    curves.check_finite,
    curves.check_memory,
    curves.check_derivatives,
    batches.check_batch,
    guesses.check_guess,
    guesses.check_derived,
)


def check_model(model: Model, traces: DeviceTraces | None = None) -> None:
    """Refuse a model that breaks its contract.

    Options are tried so that every pair of choices occurs, and each trial is fitted once to its own
    curve with noise.

    Parameters
    ----------
    model : Model
        As the plugin offers it.
    traces : DeviceTraces, optional
        Traces that suit it, where those of :func:`make_traces` do not.

    Raises
    ------
    ContractError
        The first fault.

    Examples
    --------
    >>> import powercal as pc
    >>> check_model(pc.get_model("power_balance"))
    """
    curves.check_table(model)
    curves.check_summary(model)
    for configured in curves.representatives(model):
        suited = make_traces(configured) if traces is None else traces
        for clause in _CLAUSES:
            clause(configured, suited)
        guesses.check_fit(configured, suited, truth=traces is None)
    plain = curves.representatives(model)[0]
    check_pulls(plain, make_traces(plain) if traces is None else traces)


def check_loader(
    loader: Loader, path: Path, facts: Mapping[str, Any] | None = None, **options: Any
) -> None:
    """Refuse a loader that breaks its contract.

    Parameters
    ----------
    loader : Loader
        As the plugin offers it.
    path : Path
        A small file of its format.
    facts : mapping, optional
        What the traces must hold: ``sizes`` by dimension, ``attrs``, and ``ranges`` (least and
        largest absolute value in SI) by variable.
    **options
        Options of the loader that the file needs.

    Raises
    ------
    ContractError
        The first fault.
    """
    path = Path(path)
    loaders.check_names(loader)
    loaders.check_traces_of(loader, path, facts or {}, **options)
    loaders.check_memory(loader, path, **options)
    with tempfile.TemporaryDirectory() as name:
        loaders.check_claims(loader, path, Path(name))
        loaders.check_untouched(loader, path, Path(name), **options)
        loaders.check_truncated(loader, path, Path(name), **options)


class ModelContract:
    """Subclass it as ``TestMyModel`` with ``model = MY_MODEL``; pytest runs its tests.

    Override :meth:`make_traces` where the traces that the kit simulates do not suit the model.
    """

    model: ClassVar[Model]
    fits: ClassVar[int] = 16  # of the test of errors

    def make_traces(self, model: Model) -> DeviceTraces:
        """Return traces for a configured model; by default its own curve at its examples."""
        return make_traces(model)

    def _every(self, clause: Any) -> None:
        for configured in curves.representatives(self.model):
            clause(configured, self.make_traces(configured))

    def test_the_tables_do_not_contradict_themselves(self) -> None:
        """Names, words, units, bounds, scales and defaults are sane."""
        curves.check_table(self.model)

    def test_the_summary_says_what_it_is(self) -> None:
        """The summary and all meanings are there."""
        curves.check_summary(self.model)

    def test_every_combination_of_options_configures_or_is_refused(self) -> None:
        """A combination that cannot be raises a ContractError."""
        assert curves.configurations(self.model)

    def test_the_curve_has_one_array_per_observable_in_the_shape_of_its_inputs(self) -> None:
        """For numbers, one-dimensional arrays and grids."""
        self._every(curves.check_shapes)

    def test_parameters_may_be_arrays(self) -> None:
        """A batch gives what its members give."""
        self._every(curves.check_batches)

    def test_the_curve_is_finite(self) -> None:
        """At the examples and at random points inside the bounds."""
        self._every(curves.check_finite)

    def test_curve_and_derivatives_write_into_nothing(self) -> None:
        """Inputs and parameters are handed over read-only."""
        self._every(curves.check_pure)

    def test_the_curve_has_no_memory(self) -> None:
        """The same call gives the same bits."""
        self._every(curves.check_memory)

    def test_exact_derivatives_agree_with_differences_of_the_curve(self) -> None:
        """To a millionth of each column's largest value; a missing one is zero."""
        self._every(curves.check_derivatives)

    def test_the_traced_curve_has_the_derivatives_of_the_curve(self) -> None:
        """For batches; a curve that is no single expression is fitted from its jacobian."""
        self._every(batches.check_batch)

    def test_the_guess_is_finite_and_inside_the_bounds(self) -> None:
        """Also with gaps, with one observable alone, and with parameters fixed."""
        self._every(guesses.check_guess)

    def test_derived_quantities_are_finite_and_elementwise(self) -> None:
        """Their arguments are parameters."""
        self._every(guesses.check_derived)

    def test_a_fit_finds_the_examples_and_propagates_through_the_covariance(self) -> None:
        """Examples are looked for only in traces that the kit simulated itself."""
        own = type(self).make_traces is ModelContract.make_traces
        self._every(partial(guesses.check_fit, truth=own))

    def test_repeated_fits_scatter_as_much_as_their_errors_say(self) -> None:
        """For the first combination of options; the model's curve at its examples is fitted."""
        configured = curves.representatives(self.model)[0]
        check_pulls(configured, self.make_traces(configured), fits=self.fits)


class LoaderContract:
    """Subclass it as ``TestMyLoader`` with ``loader = MY_LOADER`` and its samples.

    Either ``samples`` maps paths to expected facts (see :func:`check_loader`), or
    :meth:`sample` writes a file and returns its path, and ``facts`` says what it holds.
    """

    loader: ClassVar[Loader]
    samples: ClassVar[Mapping[str | Path, Mapping[str, Any]]] = {}
    facts: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, Any]] = {}

    def sample(self, tmp_path: Path) -> Path:
        """Write a small file of the loader's format and return its path."""
        raise ContractError(
            f"no sample of loader {self.loader.name!r}; give samples = {{path: facts}}, or "
            f"override sample(tmp_path)"
        )

    def _samples(self, tmp_path: Path) -> dict[Path, Mapping[str, Any]]:
        if self.samples:
            return {Path(path): facts for path, facts in self.samples.items()}
        folder = tmp_path / "sample"
        folder.mkdir()
        return {self.sample(folder): self.facts}

    def test_name_summary_and_options_are_sane(self) -> None:
        """``load`` takes the options that the loader offers."""
        loaders.check_names(self.loader)

    def test_it_claims_its_own_files_and_no_others(self, tmp_path: Path) -> None:
        """By content, and without ever raising."""
        for number, path in enumerate(self._samples(tmp_path)):
            scratch = tmp_path / str(number)
            scratch.mkdir()
            loaders.check_claims(self.loader, path, scratch)

    def test_it_loads_traces_that_pass_the_schema(self, tmp_path: Path) -> None:
        """With units, plane and the expected facts."""
        for path, facts in self._samples(tmp_path).items():
            loaders.check_traces_of(self.loader, path, facts, **self.options)

    def test_loading_twice_gives_the_same(self, tmp_path: Path) -> None:
        """A loader has no memory."""
        for path in self._samples(tmp_path):
            loaders.check_memory(self.loader, path, **self.options)

    def test_reading_changes_no_file(self, tmp_path: Path) -> None:
        """Neither the sample nor what lies beside it."""
        for number, path in enumerate(self._samples(tmp_path)):
            scratch = tmp_path / str(number)
            scratch.mkdir()
            loaders.check_untouched(self.loader, path, scratch, **self.options)

    def test_a_truncated_file_loads_or_is_refused_in_words(self, tmp_path: Path) -> None:
        """Nothing but a DataError may escape."""
        for number, path in enumerate(self._samples(tmp_path)):
            scratch = tmp_path / str(number)
            scratch.mkdir()
            loaders.check_truncated(self.loader, path, scratch, **self.options)
