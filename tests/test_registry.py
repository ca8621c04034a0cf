"""Registry: plugins come in through one door, and a broken one costs one warning."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import powercal
from powercal import registry
from powercal.contracts import Derived, Loader, Model, Option, Parameter
from powercal.errors import (
    ContractError,
    DuplicateNameError,
    PluginError,
    PowercalError,
    UnknownNameError,
)

LOADER = """
from powercal import Loader, hookimpl

@hookimpl
def powercal_loaders():
    return [Loader(name="{name}", summary="s", claims=lambda p: False, load=lambda p: None)]
"""
ROW = Parameter(name="gamma_1", unit="s-1", meaning="m", example=1.0, min=0.1, scale="log")
MODEL = Model(
    name="mine",
    summary="s",
    inputs=("incident_power",),
    observables=("absorbed_power",),
    parameters=(ROW,),
    curve=lambda incident_power, gamma_1: (incident_power * gamma_1,),
    guess=lambda traces, fixed: {"gamma_1": np.array(1.0)},
)

Install = Callable[..., str]


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end with an empty registry, loaders only, no settings of the user."""
    monkeypatch.setattr(registry, "BUILT_INS", registry.BUILT_INS[:4])
    monkeypatch.delenv(registry.STRICT, raising=False)
    monkeypatch.delenv(registry.DISABLE, raising=False)
    registry.reset()
    yield
    registry.reset()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that lays out a distribution the way pip would."""
    monkeypatch.syspath_prepend(tmp_path)
    modules: list[str] = []

    def write(distribution: str, code: str, *, entry: str = "", module: str = "") -> str:
        module = module or f"plugin_{distribution.replace('-', '_')}"
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        (info / "entry_points.txt").write_text(f"[powercal]\n{entry or distribution} = {module}\n")
        modules.append(module)
        return module

    yield write
    for module in modules:
        sys.modules.pop(module, None)


def warned() -> str:
    """Gather everything and return the only warning."""
    with pytest.warns(registry.PluginWarning) as caught:
        registry.plugins()
    assert len(caught) == 1
    return str(caught[0].message)


def test_the_built_in_loaders_come_through_the_door() -> None:
    assert list(registry.loaders()) == ["csv", "hdf5", "labber", "touchstone"]


def test_built_ins_are_listed_first_with_the_version_of_the_house() -> None:
    first = registry.plugins()[0]
    assert (first.name, first.distribution, first.version) == (
        "loaders.csv",
        "powercal",
        powercal.__version__,
    )
    assert first.loaders == ("csv",)


def test_asking_for_loaders_leaves_the_models_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_INS", ("powercal.models.not_there",))
    assert registry.loaders() == {}


def test_a_built_in_that_cannot_be_imported_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_INS", ("powercal.models.not_there",))
    with pytest.raises(ModuleNotFoundError, match=r"powercal\.models\.not_there"):
        registry.models()


def test_a_plugin_is_found_by_its_entry_point(install: Install) -> None:
    install("lab-a", LOADER.format(name="spooled"))
    assert registry.get_loader("spooled").name == "spooled"
    assert registry.origin("loader", "spooled") == ("lab-a", "1.2")


def test_a_plugin_is_found_under_its_full_name_too(install: Install) -> None:
    install("lab-a", LOADER.format(name="spooled"))
    assert registry.get_loader("lab-a:spooled") is registry.get_loader("spooled")


def test_a_plugin_offers_models(install: Install) -> None:
    code = """
        import numpy as np
        from powercal import Model, Parameter, hookimpl

        @hookimpl
        def powercal_models():
            yield Model(
                name="mine", summary="s", inputs=("time",), observables=("excited_population",),
                parameters=(Parameter(name="a", unit="1", meaning="m", example=1.0),),
                curve=lambda time, a: (a * time,), guess=lambda traces, fixed: {},
            )
    """
    install("lab-a", code)
    assert list(registry.models()) == ["mine"]
    assert registry.plugins()[-1].models == ("mine",)


BROKEN = {
    "import": ("import not_there_at_all", "ModuleNotFoundError: No module named"),
    "syntax": ("def (", "SyntaxError"),
    "exit": ("raise SystemExit('bye')", "SystemExit: bye"),
    "misspelt": (
        "from powercal import hookimpl\n@hookimpl\ndef powercal_modles():\n    return []",
        "powercal_modles is not a hook; the hooks are powercal_loaders and powercal_models",
    ),
    "unmarked": (
        "def powercal_models():\n    return []",
        "powercal_models is not marked; put @powercal.hookimpl above it",
    ),
    "empty": ("x = 1", "it has no hook; give it powercal_loaders or powercal_models"),
    "arguments": (
        "from powercal import hookimpl\n@hookimpl\ndef powercal_models(config):\n    return []",
        "PluginValidationError",
    ),
    "raises": (
        "from powercal import hookimpl\n@hookimpl\ndef powercal_models():\n    return 1 / 0",
        "ZeroDivisionError: division by zero",
    ),
    "no list": (
        "from powercal import hookimpl\n@hookimpl\ndef powercal_models():\n    return None",
        "TypeError: 'NoneType' object is not iterable",
    ),
    "no model": (
        "from powercal import hookimpl\n@hookimpl\ndef powercal_models():\n    return ['x']",
        "powercal_models gave str instead of Model",
    ),
    "no load": (
        LOADER.format(name="spooled").replace("lambda p: None", "None"),
        "loader 'spooled': load cannot be called",
    ),
    "twice": (
        LOADER.format(name="spooled") + "\n    return []\n"
        "@hookimpl\ndef powercal_loaders(f=powercal_loaders):\n    return f() * 2",
        "distribution lab-a offers loader 'spooled' twice",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_one_warning_that_names_it(case: str, install: Install) -> None:
    code, cause = BROKEN[case]
    module = install("lab-a", code)
    message = warned()
    assert message.startswith(f"plugin 'lab-a' (module {module}, distribution lab-a 1.2) is broken")
    assert cause in message
    assert message.endswith("mend it, or set POWERCAL_DISABLE=lab-a")


def test_a_broken_plugin_leaves_the_others_alone(install: Install) -> None:
    install("lab-a", "import not_there_at_all")
    install("lab-b", LOADER.format(name="spooled"))
    assert "lab-a" in warned()
    assert "spooled" in registry.loaders()


def test_a_broken_plugin_leaves_nothing_of_itself_behind(install: Install) -> None:
    code = LOADER.format(name="spooled") + "\n@hookimpl\ndef powercal_models():\n    return [1]\n"
    install("lab-a", code)
    warned()
    assert "spooled" not in registry.loaders()


def test_a_broken_plugin_is_listed_with_its_cause(install: Install) -> None:
    install("lab-a", "import not_there_at_all")
    warned()
    info = registry.plugins()[-1]
    assert (info.name, info.status) == ("lab-a", "broken")
    assert info.cause == "ModuleNotFoundError: No module named 'not_there_at_all'"


def test_the_warning_comes_once(install: Install) -> None:
    install("lab-a", "import not_there_at_all")
    warned()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.plugins()


def test_strict_mode_makes_a_broken_plugin_an_error(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("lab-a", "import not_there_at_all")
    monkeypatch.setenv(registry.STRICT, "1")
    with pytest.raises(PluginError, match=r"plugin 'lab-a' .* is broken") as caught:
        registry.loaders()
    assert caught.value.plugin == "lab-a"


@pytest.mark.parametrize("name", ["lab-a", "entry-a"])
def test_a_plugin_can_be_disabled_by_entry_or_distribution(
    name: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("lab-a", "import not_there_at_all", entry="entry-a")
    monkeypatch.setenv(registry.DISABLE, f"{name}, ")
    assert registry.plugins()[-1].status == "disabled"


def test_a_built_in_can_be_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.DISABLE, "loaders.csv")
    assert "csv" not in registry.loaders()


def test_disabling_what_is_not_there_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(registry.DISABLE, "lab-z")
    expected = "POWERCAL_DISABLE names 'lab-z', but no such plugin is installed; check its spelling"
    assert warned() == expected


def test_a_doubled_name_warns_and_names_both(install: Install) -> None:
    first = install("lab-a", LOADER.format(name="spooled"))
    second = install("lab-b", LOADER.format(name="spooled"))
    assert warned() == (
        f"loader 'spooled' is offered as lab-a:spooled (plugin 'lab-a', {first}) and lab-b:spooled "
        f"(plugin 'lab-b', {second}); plain 'spooled' is an error"
    )


def test_a_doubled_name_is_an_error_when_asked_for(install: Install) -> None:
    install("lab-a", LOADER.format(name="spooled"))
    install("lab-b", LOADER.format(name="spooled"))
    warned()
    message = (
        "loader 'spooled' is offered by several plugins; ask for lab-a:spooled or lab-b:spooled"
    )
    with pytest.raises(DuplicateNameError, match=message):
        registry.get_loader("spooled")


def test_doubled_names_are_listed_qualified_only(install: Install) -> None:
    install("lab-a", LOADER.format(name="spooled"))
    install("lab-b", LOADER.format(name="spooled"))
    warned()
    found = [name for name in registry.loaders() if "spooled" in name]
    assert found == ["lab-a:spooled", "lab-b:spooled"]


def test_a_doubled_built_in_keeps_the_plain_name(install: Install) -> None:
    install("lab-a", LOADER.format(name="csv"))
    assert "plain 'csv' is the built-in one" in warned()
    assert registry.origin("loader", "csv")[0] == "powercal"
    assert registry.origin("loader", "lab-a:csv")[0] == "lab-a"


@pytest.mark.parametrize("ask", [registry.get_model, registry.get_loader])
def test_an_unknown_name_lists_what_is_on_offer(ask: Callable[[str], Any]) -> None:
    with pytest.raises(UnknownNameError, match=r"there is no (model|loader) 'nothing' "):
        ask("nothing")


def test_a_near_miss_is_suggested() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'labber'"):
        registry.get_loader("laber")


def test_the_origin_of_another_kind_is_unknown() -> None:
    with pytest.raises(UnknownNameError, match="there is no kind of plugin 'solver'"):
        registry.origin("solver", "x")


def derived(name: str = "T1", unit: str = "s") -> Derived:
    """Return a derived quantity."""
    return Derived(name=name, unit=unit, meaning="m", function=abs, arguments=("gamma_1",))


CONTRADICTIONS = {
    "name": ({"name": "a:b"}, "the name must be text without ':'"),
    "curve": ({"curve": None}, "curve cannot be called"),
    "inputs": ({"inputs": ()}, "it has no inputs"),
    "word": ({"inputs": ("power_in",)}, "there is no schema word for inputs 'power_in'"),
    "observable": (
        {"observables": ("reflektion",)},
        "there is no schema word for observables 'reflektion'; did you mean 'reflection'?",
    ),
    "doubled": ({"parameters": (ROW, ROW)}, "'gamma_1' is named twice"),
    "derived": ({"derived": (derived("gamma_1"),)}, "'gamma_1' is named twice"),
    "unit": ({"derived": (derived(unit="hours"),)}, "'T1': unit 'hours' is not known"),
    "keyword": (
        {"parameters": (replace(ROW, name="gamma 1"),)},
        "parameter 'gamma 1' must have a name that can be a keyword argument",
    ),
    "bounds": (
        {"parameters": (replace(ROW, min=2.0, max=1.0),)},
        "parameter 'gamma_1' has bounds 2.0 and 1.0; min must be less than max",
    ),
    "example": (
        {"parameters": (replace(ROW, example=0.01),)},
        "parameter 'gamma_1' has example 0.01 outside its bounds 0.1 and inf",
    ),
    "log": (
        {"parameters": (replace(ROW, min=0.0),)},
        "parameter 'gamma_1' has scale 'log' but min 0.0; give a positive min or scale 'linear'",
    ),
    "scale": (
        {"parameters": (replace(ROW, scale="cubic"),)},  # type: ignore[arg-type]
        "parameter 'gamma_1' has scale 'cubic' and scope 'one'; see powercal.Parameter",
    ),
    "option": (
        {"options": (Option(name="o", choices=("a", "b"), meaning="m", default="c"),)},
        "default 'c' of option 'o' is not among a, b",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_model_that_contradicts_itself_is_refused(case: str) -> None:
    changes, message = CONTRADICTIONS[case]
    with pytest.raises(ContractError) as caught:
        registry.check_model(replace(MODEL, **changes))
    assert message in str(caught.value)


def test_a_sound_model_passes() -> None:
    registry.check_model(MODEL)


def test_a_loader_without_name_is_refused() -> None:
    nameless = Loader(name="", summary="s", claims=bool, load=bool)
    with pytest.raises(ContractError, match="loader '': the name must be text"):
        registry.check_loader(nameless)


def test_importing_and_listing_plugins_stays_light() -> None:
    code = (
        "import sys; from powercal import registry; registry.loaders();"
        "print([m for m in ('xarray', 'lmfit', 'h5py', 'skrf', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_registry_error_can_be_mended_by_a_user() -> None:
    assert issubclass(PluginError, PowercalError)
