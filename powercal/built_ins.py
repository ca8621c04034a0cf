"""The plugins that ship with the house, as modules that are imported when first asked for."""

BUILT_INS: tuple[str, ...] = (
    "powercal.loaders.hdf5",
    "powercal.loaders.csv",
    "powercal.loaders.touchstone",
    "powercal.loaders.labber",
    "powercal.loaders.pycqed",
    "powercal.loaders.quantify",
    "powercal.models.absorbed",
    "powercal.models.channels",
    "powercal.models.free_decay",
    "powercal.models.power_balance",
    "powercal.models.reflection",
    "powercal.models.transmission",
)
