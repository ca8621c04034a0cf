"""Campaigns: many files by one run file, with a ledger that no kill can damage."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from powercal.campaign.progress import Progress
    from powercal.campaign.run import CampaignResult, run_campaign
    from powercal.campaign.run_file import RunFile, read_run_file
    from powercal.campaign.stopping import Interrupted

_HOME_OF = {
    "CampaignResult": "run",
    "Interrupted": "stopping",
    "Progress": "progress",
    "RunFile": "run_file",
    "read_run_file": "run_file",
    "run_campaign": "run",
}

__all__ = [
    "CampaignResult",
    "Interrupted",
    "Progress",
    "RunFile",
    "read_run_file",
    "run_campaign",
]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for: a worker process needs none of them to start."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'powercal.campaign' has no attribute {name!r}")
    return getattr(import_module(f"powercal.campaign.{_HOME_OF[name]}"), name)
