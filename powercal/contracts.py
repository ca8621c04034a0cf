"""What a plugin gives: loaders and models as plain frozen data, with no framework behind them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import ArrayLike, NDArray

from powercal.errors import ContractError, unknown_name
from powercal.schema import DeviceTraces, InstrumentTraces

if TYPE_CHECKING:
    from powercal.result import Check, FitResult

Arrays = tuple[NDArray[Any], ...]
Derivatives = tuple[dict[str, NDArray[Any]], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One number of a model: its unit, meaning, bounds and the coordinate a solver uses for it.

    Attributes
    ----------
    example : float
        A legal value: for documentation, the conformance kit and last-resort starts.
    vary : bool
        Whether a fit frees it unless told otherwise; a fixed one is printed as an assumption.
    scale : {"linear", "log"}
        ``log`` (with a positive lower bound) for what cannot vanish; ``linear`` for what can.
    scope : {"one", "per_trace"}
        The default; ``fit(..., per={"name": "dimension"})`` decides.
    """

    name: str
    unit: str
    meaning: str
    example: float
    min: float = -inf
    max: float = inf
    vary: bool = True
    scale: Literal["linear", "log"] = "linear"
    scope: Literal["one", "per_trace"] = "one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """A named choice of a model; ``default=None`` means that it must be declared.

    ``follows`` names the choice that fitting an observable implies (complex data are complex,
    whatever anybody declares); a choice that is asked for by name goes before it. Where
    ``open``, the choices are examples: the model's factory reads other values and refuses with a
    ContractError what it cannot read.
    """

    name: str
    choices: tuple[str, ...]
    meaning: str
    default: str | None = None
    follows: Mapping[str, str] = field(default_factory=dict)
    open: bool = False

    def allows(self, value: str | None) -> bool:
        """Whether the option may have this value."""
        return value in self.choices or (self.open and value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A quantity that follows from the parameters, propagated through the covariance.

    ``function`` takes the parameters by name (those in ``arguments``) and returns a float or
    an array; a function that also takes complex numbers is differentiated exactly. ``scale`` is
    the coordinate in which its error is symmetric.
    """

    name: str
    unit: str
    meaning: str
    function: Callable[..., Any]
    arguments: tuple[str, ...]
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """One kind of measurement of known truth, over which a model's errors are put to the test.

    Attributes
    ----------
    name : str
        What is special about it, in few words.
    values : mapping
        True parameters, SI; those left out have their example.
    inputs : mapping of array_like
        What the curve reads, SI, at the device (at the generator for a model with a loss of its
        own): a number, or 1-D along its own dimension.
    noise : mapping of array_like
        The observables that are measured, each with its standard deviation (of each quadrature) at
        the device; broadcast against the observable, axes in the order of the model's inputs.
    options : mapping
        Options of the model.
    free, fixed
        As for a fit.
    priors : mapping
        Quantities known from elsewhere, each with its standard deviation. Every data set draws the
        truth about the stated value: as if the other experiment had been done anew.
    line : mapping
        ``attenuation_db`` and ``gain_db``: stated value and its error, drawn likewise.
    input_errors : mapping
        Errors of recorded inputs relative to the true ones, stated with the data; one draw for
        each value.
    state_noise : bool
        Whether the standard deviations are stated with the data.
    attributes : mapping
        More attributes of the traces.
    """

    name: str
    values: Mapping[str, float]
    inputs: Mapping[str, ArrayLike]
    noise: Mapping[str, ArrayLike]
    options: Mapping[str, str] = field(default_factory=dict)
    free: tuple[str, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    priors: Mapping[str, float] = field(default_factory=dict)
    line: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    input_errors: Mapping[str, float] = field(default_factory=dict)
    state_noise: bool = True
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A theory curve with its parameter table.

    Attributes
    ----------
    name, summary : str
        The name on the command line; one line with the reference (paper, equation).
    inputs : tuple of str
        Schema words that the curve reads, in the order of its positional arguments.
    observables : tuple of str
        Schema words that it predicts, in the order of the tuple that the curve returns.
    curve : callable
        ``curve(*inputs, **parameters)``: all inputs arrive broadcastable to one shape, parameters
        broadcast against them, every returned array has that shape; real or complex.
    guess : callable
        ``guess(traces, fixed)``: starting values. For many traces at once (which a guess may
        leave alone: it is then asked trace by trace) ``traces.attrs["batch_dims"]`` names in JSON
        the dimensions that count them, held values may be arrays over these, and every start is
        one too, NaN where a trace has none.
    jacobian : callable, optional
        ``jacobian(*inputs, **parameters)``: per observable a mapping from parameter (or input)
        name to the exact derivative; a name that is missing has derivative zero if it is a
        parameter and is found by differences if it is an input.
    derived : tuple of Derived
        Quantities such as T1, and the combinations that data determine when the parameters
        themselves are degenerate.
    checks : callable, optional
        Assumptions of the theory against a result.
    regimes : callable, optional
        The measurements over which its errors are put to the test (``powercal coverage``); without
        them one is made of its examples.
    options, factory, chosen
        ``configure`` calls ``factory(**choices)``; ``chosen`` holds what was chosen.
    version : str
        Changes when the numbers change; stored in every report.
    """

    name: str
    summary: str
    inputs: tuple[str, ...]
    observables: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    curve: Callable[..., Arrays]
    guess: Callable[[DeviceTraces, Mapping[str, float]], dict[str, NDArray[Any]]]
    jacobian: Callable[..., Derivatives] | None = None
    derived: tuple[Derived, ...] = ()
    checks: Callable[[FitResult], tuple[Check, ...]] | None = None
    regimes: Callable[[], tuple[Regime, ...]] | None = None
    options: tuple[Option, ...] = ()
    factory: Callable[..., Model] | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)
    version: str = "1"

    def configure(self, **choices: str) -> Model:
        """Return the model for these options.

        Raises
        ------
        UnknownNameError
            An option that the model does not have.
        ContractError
            A value that the option does not allow, or an option left undeclared.
        """
        table = {option.name: option for option in self.options}
        for name in choices:
            if name not in table:
                raise unknown_name(f"option of model {self.name!r}", name, table)
        filled = dict(self.chosen)
        for name, option in table.items():
            value = choices.get(name, filled.get(name, option.default))
            if value is None or not option.allows(value):
                raise ContractError(
                    f"option {name!r} of model {self.name!r} is {value!r}; "
                    f"it must be one of {', '.join(option.choices)}",
                    self.name,
                )
            filled[name] = value
        if self.factory is None:
            return self
        built = self.factory(**filled)
        return dataclasses.replace(
            built, options=self.options, factory=self.factory, regimes=self.regimes, chosen=filled
        )

    def parameter(self, name: str) -> Parameter:
        """Return the row of the parameter table.

        Raises
        ------
        UnknownNameError
            If the model has no such parameter.
        """
        for row in self.parameters:
            if row.name == name:
                return row
        raise unknown_name(
            f"parameter of model {self.name!r}", name, [p.name for p in self.parameters]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """A way from a file to traces.

    Attributes
    ----------
    claims : callable
        ``claims(path)``: cheap, reads magic bytes rather than names, never raises.
    load : callable
        ``load(path, **options)``: traces with units, plane and (where the file says so)
        detection; only the options named in ``options`` are passed.
    options : tuple of str
        Names of the keyword options that ``load`` understands, for example ``"mapping"``.
    describe : callable, optional
        ``describe(path)``: lines for ``powercal inspect`` on what was chosen and what rejected.
    """

    name: str
    summary: str
    claims: Callable[[Path], bool]
    load: Callable[..., InstrumentTraces]
    options: tuple[str, ...] = ()
    describe: Callable[..., tuple[str, ...]] | None = None
