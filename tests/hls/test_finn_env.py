# SPDX-License-Identifier: Apache-2.0
"""Where FINN's own settings lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hls import finn_env
from hls.finn_env import SETTINGS, setup_finn


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME is a file, in which nothing can be made; FINN's settings are named by nobody yet."""
    home = tmp_path / "home"
    home.write_text("")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("FINN_BUILD_DIR", "")
    monkeypatch.setenv(SETTINGS, "")
    monkeypatch.setitem(finn_env._ours, "settings", "")
    return home


def test_settings_lie_in_the_build_folder(homeless: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        setup_finn(tmp_path / name)
        assert os.environ[SETTINGS] == str(tmp_path / name / "settings.yaml")
        assert os.environ["FINN_BUILD_DIR"] == str(tmp_path / name)
    assert homeless.read_text() == ""


def test_settings_that_the_user_names_are_taken(
    homeless: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTINGS, str(tmp_path / "mine.yaml"))
    setup_finn(tmp_path / "one")
    assert os.environ[SETTINGS] == str(tmp_path / "mine.yaml")
