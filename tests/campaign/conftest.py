"""Campaigns that many tests look at and none may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from powercal.campaign import run_campaign

from .folders import make_folder


@pytest.fixture(scope="session")
def twenty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of twenty files, whose campaign ran undisturbed."""
    run = make_folder(tmp_path_factory.mktemp("twenty"), 20)
    run_campaign(run, workers=0)
    return run


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of three files that are done."""
    run = make_folder(tmp_path_factory.mktemp("done"), 3)
    run_campaign(run, workers=0)
    return run


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    """The files that are done, to be changed."""
    return shutil.copytree(done.parent, tmp_path, dirs_exist_ok=True) / done.name
