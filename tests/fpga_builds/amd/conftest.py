# SPDX-License-Identifier: Apache-2.0
"""A tiny compiled network, and a machine on which AMD's tools seem to be installed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import fake_xilinx
import pytest

from fpga_builds.amd import AmdJob
from hls.compiler import CompileOptions, FoldingTarget, compile_model

FIFOS = (1, 0, 4, 0, 2, 0)
CLOCK_MHZ = 150.0


def _networks():
    path = Path(__file__).parents[2] / "hls" / "qonnx_mlp.py"
    spec = importlib.util.spec_from_file_location("qonnx_mlp_of_amd", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``compiled/`` and ``accelerator/`` of a network of two layers, with FIFOs."""
    folder = tmp_path_factory.mktemp("tiny")
    network = _networks().power_of_two_mlp(folder / "net.onnx", sizes=(12, 8, 4))
    target = FoldingTarget(cycles=16)
    options = CompileOptions(name="tiny", output="hard_pairs", folding=target)
    acc = compile_model(network, folder / "compiled", options)
    depths = {s.name: depth for s, depth in zip(acc.streams, FIFOS, strict=False)}
    acc.with_fifo_depths(depths).save(folder / "accelerator")
    return folder


def amd_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand-ins on PATH, FINN's dependencies, the variables that AMD's scripts set."""
    record = folder / "record"
    for key, value in fake_xilinx.install(folder / "bin", record).items():
        monkeypatch.setenv(key, value)
    (folder / "deps" / "finn-hlslib").mkdir(parents=True)
    (folder / "deps" / "finn-hlslib" / "bnn-library.h").write_text("")
    (folder / "deps" / "board_files" / "some").mkdir(parents=True)
    variables = {
        "FINN_DEPS": str(folder / "deps"),
        "XILINX_VIVADO": "/opt/Xilinx/Vivado/2023.2",
        "XILINX_VITIS": "/opt/Xilinx/Vitis/2023.2",
        "XILINX_XRT": "/opt/xilinx/xrt",
        "PLATFORM_REPO_PATHS": "/opt/xilinx/platforms",
    }
    for key, value in variables.items():
        monkeypatch.setenv(key, value)
    for key in ("XILINX_HLS", "FINN_TOOL_DIR_OVERRIDE", "PHYFOLD_TOOL_TIMEOUT_S"):
        monkeypatch.delenv(key, raising=False)
    return record


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the stand-ins, now installed, record their calls."""
    return amd_machine(tmp_path / "machine", monkeypatch)


@pytest.fixture
def make_job(tiny: Path) -> Callable[[Path], AmdJob]:
    """A job for the tiny network that works below a folder."""
    return lambda folder: job_of(tiny, folder)


def job_of(tiny: Path, folder: Path) -> AmdJob:
    return AmdJob(
        name="tiny",
        compiled=tiny / "compiled",
        accelerator=tiny / "accelerator",
        folder=folder / "result",
        work=folder / "work",
        clock_mhz=CLOCK_MHZ,
    )


@pytest.fixture(scope="session")
def build_once(tiny: Path, tmp_path_factory: pytest.TempPathFactory):
    """Build for a board with the stand-ins; returns (body, job, recorded calls)."""
    from fpga_builds.amd import build_bitstream

    done: dict[str, tuple] = {}

    def build(board: str) -> tuple:
        if board not in done:
            folder = tmp_path_factory.mktemp(board)
            with pytest.MonkeyPatch.context() as patch:
                record = amd_machine(folder / "machine", patch)
                job = job_of(tiny, folder)
                body = build_bitstream(job, board)
            done[board] = (body, job, fake_xilinx.records(record))
        return done[board]

    return build
