# SPDX-License-Identifier: Apache-2.0
"""Boards, clocks, and what is said when something is missing, before anything is started."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import fake_xilinx
import pytest

from fpga_builds.amd import BOARDS, AmdJob, build_bitstream, find_board
from fpga_builds.amd.build import finn_clock
from fpga_builds.progress import Reporter
from models.errors import ConfigError, ToolMissingError

MakeJob = Callable[[Path], AmdJob]


@pytest.fixture
def job(make_job: MakeJob, tmp_path: Path) -> AmdJob:
    return make_job(tmp_path)


def test_boards_are_finns() -> None:
    from finn.transformation.fpgadataflow.templates import custom_zynq_shell_template as shell
    from finn.util import basic

    vivado = {b.name: (b.part, b.dma_bits) for b in BOARDS.values() if b.flow == "vivado"}
    vitis = {b.name: (b.part, b.platform) for b in BOARDS.values() if b.flow == "vitis"}
    finns = {n: (p, basic.pynq_native_port_width[n]) for n, p in basic.pynq_part_map.items()}
    shells = {name: row for name, row in finns.items() if f'$BOARD == "{name}"' in shell}
    assert vivado == shells
    assert set(finns) - set(shells) == {"ZCU111"}
    alveo = {n: (p, basic.alveo_default_platform[n]) for n, p in basic.alveo_part_map.items()}
    assert vitis == {name: row for name, row in alveo.items() if name != "U200"}


def test_unknown_board_lists_the_boards(job: AmdJob) -> None:
    assert find_board("pynq-z2") is BOARDS["Pynq-Z2"]
    with pytest.raises(ConfigError, match=r"board 'zedboard' is unknown.*Pynq-Z2.*ZCU104.*U250"):
        build_bitstream(job, "zedboard")


def test_job_of_a_step(tmp_path: Path) -> None:
    inputs = {name: tmp_path / name for name in ("compiled", "accelerator")}
    config = SimpleNamespace(name="net", compile=SimpleNamespace(clock_mhz=120.0))
    context = SimpleNamespace(
        config=config,
        input=inputs.__getitem__,
        folder=tmp_path / "80-bitstream.part",
        cache=tmp_path / "cache",
        jobs=2,
        reporter=Reporter(quiet=True),
    )
    job = AmdJob.of(context, "zcu104")
    assert (job.name, job.clock_mhz, job.jobs) == ("net", 120.0, 2)
    assert job.folder.parent == context.folder
    assert job.work == tmp_path / "cache" / "amd" / "ZCU104"  # not in a folder that is renamed
    assert (job.compiled, job.accelerator) == tuple(inputs.values())


@pytest.mark.usefixtures("record")
def test_without_vivado(job: AmdJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XILINX_VIVADO")
    with pytest.raises(ToolMissingError, match="XILINX_VIVADO is not set") as caught:
        build_bitstream(job, "Pynq-Z2")
    assert caught.value.exit_code == 3
    assert "settings64.sh" in caught.value.hint
    assert not job.work.exists()


@pytest.mark.parametrize(
    ("version", "program", "board"),
    [
        ("Vivado/2023.2", "vivado", "Pynq-Z2"),
        ("Vivado/2023.2", "vitis_hls", "Pynq-Z2"),
        ("2025.1/Vivado", "vitis-run", "Pynq-Z2"),
        ("Vivado/2023.2", "v++", "U55C"),
        ("Vivado/2023.2", "kernelinfo", "U55C"),
    ],
)
def test_missing_program(
    job: AmdJob,
    record: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    program: str,
    board: str,
) -> None:
    monkeypatch.setenv("XILINX_VIVADO", f"/opt/Xilinx/{version}")
    (record.parent / "bin" / program).unlink()
    with pytest.raises(ToolMissingError, match=rf"^{program.replace('+', '[+]')} not found"):
        build_bitstream(job, board)


@pytest.mark.usefixtures("record")
@pytest.mark.parametrize("name", ["XILINX_VITIS", "XILINX_XRT", "PLATFORM_REPO_PATHS"])
def test_alveo_needs_vitis_variables(
    job: AmdJob, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ToolMissingError, match=f"{name} is not set: U250 is built by Vitis"):
        build_bitstream(job, "U250")


@pytest.mark.parametrize(
    ("missing", "message"),
    [("finn-hlslib", "DMA nodes are compiled from it"), ("board_files", "does not know Pynq-Z1")],
)
def test_finns_own_dependencies(job: AmdJob, record: Path, missing: str, message: str) -> None:
    shutil.rmtree(record.parent / "deps" / missing)
    with pytest.raises(ToolMissingError, match=f"{missing}: .*{message}") as caught:
        build_bitstream(job, "Pynq-Z1")
    assert "finn deps update" in caught.value.hint
    assert not fake_xilinx.records(record)


@pytest.mark.usefixtures("record")
def test_version_is_read_from_the_path(job: AmdJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XILINX_VIVADO", "/opt/vivado")
    with pytest.raises(ConfigError, match=r"no version such as 2023.2 in this path"):
        build_bitstream(job, "Pynq-Z2")


@pytest.mark.usefixtures("record")
def test_no_blanks_in_paths(job: AmdJob, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="take no path with a blank"):
        build_bitstream(replace(job, work=tmp_path / "my work"), "Pynq-Z2")


def test_finn_makes_whole_megahertz_of_the_period() -> None:
    for mhz in range(1, 501):
        whole, period_ns = finn_clock(mhz)
        assert whole == mhz
        assert int(1 / (period_ns * 0.001)) == mhz  # FINN's Zynq shell
        assert round(1e6 / (period_ns * 0.001)) == mhz * 1_000_000  # its stitched IP
    assert finn_clock(133.3)[0] == 133
    with pytest.raises(ConfigError, match="whole MHz, at least 1"):
        finn_clock(0.5)
