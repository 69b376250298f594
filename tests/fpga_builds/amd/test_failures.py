# SPDX-License-Identifier: Apache-2.0
"""Vivado fails, hangs or ends without its output: a message that helps, and nothing left behind."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fake_xilinx
import pytest

from fpga_builds.amd import AmdJob, build_bitstream
from fpga_builds.progress import Reporter
from hls.ir import Accelerator
from models.errors import MismatchError, ToolError

MakeJob = Callable[[Path], AmdJob]


@pytest.fixture
def job(make_job: MakeJob, tmp_path: Path, record: Path) -> AmdJob:
    """A job whose results folder holds what an earlier run left."""
    job = make_job(tmp_path)
    job.folder.mkdir()
    (job.folder / "bitstream.json").write_text("of an earlier run")
    return job


def untouched(job: AmdJob) -> bool:
    return [(p.name, p.read_text()) for p in job.folder.iterdir()] == [
        ("bitstream.json", "of an earlier run")
    ]


def test_failing_vivado(job: AmdJob, record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_xilinx.MISBEHAVE, "fail:make_project.tcl")
    with pytest.raises(
        ToolError, match=r"vivado make_project.tcl failed with exit code 1"
    ) as caught:
        build_bitstream(job, "Pynq-Z1")
    assert caught.value.exit_code == 1
    assert fake_xilinx.ERROR_LINE in caught.value.message
    log = Path(re.search(r"see (\S+)", caught.value.hint)[1])
    assert fake_xilinx.ERROR_LINE in log.read_text()
    assert len(fake_xilinx.records(record)) == 1  # FINN, which overlooks it, does not go on
    assert untouched(job)


def test_hanging_vivado(job: AmdJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_xilinx.MISBEHAVE, "hang:ip_config.tcl")
    with pytest.raises(ToolError, match=r"vivado ip_config.tcl did not end within 1 s") as caught:
        build_bitstream(job, "ZCU104", limit_s=1.0)
    assert "PHYFOLD_TOOL_TIMEOUT_S" in caught.value.hint
    child = int(re.search(r"process (\d+)", caught.value.message)[1])
    assert not alive(child)
    assert untouched(job)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_vivado_without_its_output(job: AmdJob, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(fake_xilinx.MISBEHAVE, "empty:ip_config.tcl")
    with pytest.raises(ToolError, match="exit code 0, but without what it should have") as caught:
        build_bitstream(job, "KV260_SOM")
    assert "no bitfile found" in caught.value.message
    assert "INFO: vivado is done" in caught.value.message
    assert untouched(job)


def test_another_accelerator_than_the_simulated_one(
    job: AmdJob, tmp_path: Path, record: Path
) -> None:
    acc = Accelerator.load(job.accelerator)
    layer = acc.layers[0]
    weights = layer.arrays["weights"].copy()
    weights[0, 0] = -weights[0, 0] or 1
    wrong = replace(layer, arrays={"weights": weights})
    replace(acc, layers=(wrong, *acc.layers[1:])).save(tmp_path / "wrong")
    with pytest.raises(MismatchError, match=r"layer fc0: the FINN graph differs.*in weights"):
        build_bitstream(
            replace(job, accelerator=tmp_path / "wrong", reporter=Reporter()), "Pynq-Z2"
        )
    assert not fake_xilinx.records(record)
    assert untouched(job)
