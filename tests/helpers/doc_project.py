# SPDX-License-Identifier: Apache-2.0
"""A folder in which the documents' commands run: a tiny detector has the name of a shipped one."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
from pathlib import Path

import pytest

from fpga_builds import cli, config
from fpga_builds.runner import execute

NAME = "fullycon_w4a4"
BUILD = f"""
name = "{NAME}"
[network]
checkpoint = "./checkpoint"
[channel]
symbols = 4
antennas = 8
rho = 0.3
[folding]
target = "cycles"
cycles = 64
[simulate]
snr_db = [4.0, 8.0]
frames = 64
chunk_frames = 64
"""
RECIPE = {
    "name": NAME,
    "network": {"inputs": 8, "width": 12, "depth": 1, "bits": 4},
    "channel": {"rho": 0.3},
    "quant": {"weight_bits": 4, "act_bits": 3},
    "train": {"steps": 100, "batch": 200, "warmup_steps": 20, "precision": "float32"},
}


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Make ``root`` the current folder, and its builds the ones that have names."""
    patch.setattr(config, "BUILDS_FOLDER", root / "builds")
    patch.chdir(root)


def make_project(root: Path) -> None:
    """The tiny detector's build in ``root``, its checkpoint, and the results of its run."""
    import torch

    from quant.recipe import parse_recipe
    from quant.train import train_recipe

    torch.set_num_threads(1)
    place = root / "builds" / NAME
    train_recipe(parse_recipe(RECIPE, "test"), place / "checkpoint")
    (place / "build.toml").write_text(BUILD)
    said = io.StringIO()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        enter(root, patch)
        code = execute(cli.app, ["run", NAME, "--quiet"])
    signal.signal(signal.SIGTERM, handler)
    assert code == 0, said.getvalue()
    shutil.copy(root / "build" / NAME / "20-export" / "model.onnx", root / "my_network.onnx")
