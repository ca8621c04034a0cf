"""The regimes of a model: those it declares, or one that is made of its examples."""

from __future__ import annotations

from powercal.contracts import Model, Regime
from powercal.testing._call import call, fault
from powercal.testing.curves import representatives
from powercal.testing.guesses import determined_fit
from powercal.testing.simulated import examples, make_traces


def regimes_of(model: Model) -> tuple[Regime, ...]:
    """Return the regimes over which a model is judged.

    Raises
    ------
    ContractError
        A declaration that is none, or names a regime twice.
    """
    if model.regimes is None:
        return (_of_examples(model),)
    found = call(model, "regimes", model.regimes)
    if not isinstance(found, tuple) or not found or not all(isinstance(r, Regime) for r in found):
        raise fault(model, "regimes() must return a tuple of Regime, one at least")
    names = [r.name for r in found]
    twice = [n for n in names if names.count(n) > 1]
    if twice:
        raise fault(model, f"two regimes are called {twice[0]!r}; name each differently")
    return found


def _of_examples(model: Model) -> Regime:
    """The curve at the examples, with a hundredth of noise, for the first choice of options.

    What such data leave open is held at its example, as in the kit's test of errors.
    """
    plain = representatives(model)[0]
    traces = make_traces(plain)
    first = determined_fit(plain, traces)
    measured = [n for n in plain.observables if n in traces]
    return Regime(
        name="examples",
        values=examples(plain),
        inputs={n: traces[n].values for n in plain.inputs},
        noise={n: traces[f"{n}_std"].values for n in measured},
        options=dict(plain.chosen),
        fixed={k: float(v) for k, v in first.request["fixed"].items()},
        attributes={"setup": "device"},
    )
