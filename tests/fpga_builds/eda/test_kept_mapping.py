# SPDX-License-Identifier: Apache-2.0
"""A synthesis that was interrupted behind its mapping goes on from there, to the same netlist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rtl_chains import chain, mvau

from fpga_builds.eda import synth
from fpga_builds.eda.kept_mapping import KeptMapping
from fpga_builds.eda.synth import Keep, Synthesis, described, synthesize
from fpga_builds.eda.yosys import run_yosys
from hls.devices import device
from hls.ir import IntFormat
from hls.sim.verilate import RtlFiles
from hls.stitch import write_rtl

U4, S4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
MAPPING, NETLIST = "yosys", "netlist"
"""The two runs of Yosys."""


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> RtlFiles:
    """One matrix layer with a FIFO."""
    accelerator = chain(U4, 2, 4, [mvau((4, 4), 1, 2, U4, S4)], {"s0": 4})
    return write_rtl(accelerator, tmp_path_factory.mktemp("rtl"))


@dataclass
class Attempt:
    """One synthesis, ended when the run ``end_at`` of Yosys begins."""

    keep: Path
    end_at: str = ""
    program: str = "this program"
    runs: list[str] = field(default_factory=list)
    far: list[tuple[float, float]] = field(default_factory=list)
    kept: KeptMapping | None = None

    def run(self, rtl: RtlFiles, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Synthesis | None:
        """The netlist; None if it was ended."""
        real = run_yosys

        def watched(commands: Sequence[str], work: Path, **options: Any) -> Path:
            self.runs.append(options["name"])
            if options["name"] == self.end_at:
                raise KeyboardInterrupt
            progress = options.pop("progress")
            for number, command in enumerate(commands):
                progress(number, len(commands), command)
            return real(commands, work, **options)

        monkeypatch.setattr(synth, "run_yosys", watched)
        keep = Keep(self.keep, self.program, lambda mapping: setattr(self, "kept", mapping))
        try:
            return synthesize(
                *(rtl, device("LFE5U-25F"), folder),
                engine="native",
                progress=lambda done, total: self.far.append((done, total)),
                keep=keep,
            )
        except KeyboardInterrupt:
            return None


@pytest.mark.yosys
def test_an_interrupted_synthesis_goes_on_from_its_mapped_cells(
    rtl: RtlFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Attempt(tmp_path / "other")
    expected = whole.run(rtl, tmp_path / "whole", monkeypatch)
    early = Attempt(tmp_path / "keep", MAPPING)
    assert early.run(rtl, tmp_path / "parts", monkeypatch) is None
    assert str(early.kept) == ""
    late = Attempt(tmp_path / "keep", NETLIST)
    assert late.run(rtl, tmp_path / "parts", monkeypatch) is None
    assert str(late.kept).startswith(f"the mapped cells of the synthesis in {tmp_path / 'keep'}")
    last = Attempt(tmp_path / "keep")
    made = last.run(rtl, tmp_path / "parts", monkeypatch)
    assert made is not None
    assert expected is not None
    assert (whole.runs, late.runs, last.runs) == (*(2 * [[MAPPING, NETLIST]]), [NETLIST])
    assert whole.far == [(number, len(whole.far)) for number in range(len(whole.far))]
    assert last.far == whole.far[-len(last.far) :]
    for name in ("netlist_verilog", "netlist_json"):
        assert getattr(made, name).read_bytes() == getattr(expected, name).read_bytes()
    assert (made.cells, made.totals, made.layers) == (
        *(expected.cells, expected.totals, expected.layers),
    )
    assert not (tmp_path / "keep").exists()


@pytest.mark.yosys
def test_cells_of_something_else_are_not_gone_on_from(
    rtl: RtlFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Attempt(tmp_path / "keep", NETLIST)
    first.run(rtl, tmp_path / "a", monkeypatch)
    mapped = next((tmp_path / "keep").rglob("mapped.json"))
    for program in ("another program", "this program"):
        if program == "this program":
            mapped.write_bytes(mapped.read_bytes()[:-1])
        again = Attempt(tmp_path / "keep", MAPPING, program)
        again.run(rtl, tmp_path / "b", monkeypatch)
        assert again.runs == [MAPPING]
        assert str(again.kept) == ""


def test_a_command_in_a_word() -> None:
    assert described("synth_ecp5 -nodsp -top t -run map_ffs:map_luts") == "map_ffs"
    assert described("write_verilog -noattr netlist.v") == "write_verilog"
