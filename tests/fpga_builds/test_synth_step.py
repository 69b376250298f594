# SPDX-License-Identifier: Apache-2.0
"""The step and the command: one result per part, kept, and checked against the part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rtl_chains import chain, mvau

from fpga_builds import commands_synth
from fpga_builds.commands import Job
from fpga_builds.config import parse_build
from fpga_builds.eda.synth import Synthesis
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from fpga_builds.progress import Reporter
from fpga_builds.steps import hdl
from fpga_builds.steps import synth as step_synth
from fpga_builds.steps.order import detector_steps
from fpga_builds.steps.synth import load_synthesis, step_for, step_name, synth_records
from fpga_builds.storage import write_json
from hls.devices import DEVICES, device
from hls.ir import Accelerator, IntFormat
from hls.stitch import write_rtl
from models.errors import CheckError, CompileError, ToolMissingError

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
U4 = IntFormat(4, signed=False)
SMALL, LARGE = device("LFE5U-25F"), device("LFE5U-85F")


def _accelerator() -> Accelerator:
    return chain(U4, 2, 4, [mvau((4, 4), 1, 2, U4, IntFormat(4, signed=True))], {"s1": 2})


def _compile(context: StepContext) -> StepOutput:
    (context.folder / "compiled").mkdir()
    finn = {"lut": 9, "ff": None, "bram18": 0, "dsp": 0, "reason": "no ff"}
    write_json(
        context.folder / "compiled" / "estimates.json", {"layers": [{"name": "l0", "finn": finn}]}
    )
    return StepOutput({"compiled": "compiled"})


def _hdl(context: StepContext) -> StepOutput:
    acc = _accelerator()
    acc.save(context.folder / "accelerator")
    hdl._write_index(context.folder, write_rtl(acc, context.folder / "rtl"))
    return StepOutput({"rtl": "rtl", "rtl_index": "rtl.json", "accelerator": "accelerator"})


def _steps() -> tuple[Step, ...]:
    """What comes before synthesis, without a network."""
    real = {step.name: step for step in detector_steps()}
    return (
        replace(real["compile"], run=_compile, reads=()),
        replace(real["hdl"], run=_hdl),
    )


class Counter:
    """Counts real syntheses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.parts: list[str] = []
        real = step_synth.synthesize

        def counted(rtl: object, part: object, *args: object, **options: object) -> Synthesis:
            self.parts.append(part.name)  # type: ignore[attr-defined]
            return real(rtl, part, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(step_synth, "synthesize", counted)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose flow needs no network."""
    monkeypatch.setattr(commands_synth, "steps_of", lambda _config: _steps())
    return Job(CONFIG, tmp_path, 1, Reporter(quiet=True))


@pytest.mark.yosys
def test_results_for_several_parts_stand_side_by_side(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = Counter(monkeypatch)
    body, fits = commands_synth.synth(job, None, netlist_frames=0)
    fits()
    assert body["part"] == LARGE.name
    again, _ = commands_synth.synth(job, "LFE5U-25F-6BG381C", netlist_frames=0)
    assert counter.parts == [LARGE.name, SMALL.name]
    assert (job.out / "70-synth-lfe5u-85f" / "synth.json").is_file()
    assert (job.out / "70-synth-lfe5u-25f" / "netlist.v").is_file()
    assert again["totals"] == body["totals"]
    assert again["utilisation"]["lut"] > body["utilisation"]["lut"]
    commands_synth.synth(job, None, netlist_frames=0)
    assert counter.parts == [LARGE.name, SMALL.name]
    records = synth_records(job.out)
    assert [record.step for record in records] == ["synth-lfe5u-25f", "synth-lfe5u-85f"]
    result = load_synthesis(records[0])
    assert result.part is SMALL
    assert result.netlist_json.is_file()


@pytest.mark.yosys
def test_json_has_what_others_rely_on(job: Job) -> None:
    body, _ = commands_synth.synth(job, None, "native", netlist_frames=0)
    plain = json.loads(json.dumps(body, allow_nan=False))
    assert {"build", "part", "tool", "version", "engine", "totals", "utilisation"} <= set(plain)
    assert plain["build"] == "demo"
    assert {"lut", "ff", "bram18", "dsp"} <= set(plain["totals"])
    names = [layer["name"] for layer in plain["layers"]]
    assert names == ["l0", "fifo_s1", "glue"]
    for key in ("lut", "ff", "bram18", "dsp"):
        assert sum(layer[key] for layer in plain["layers"]) == plain["totals"][key]
    assert plain["layers"][0]["finn"]["lut"] == 9
    metrics = {m["name"]: m for m in json.loads((_place(job) / "metrics.json").read_text())}
    assert metrics["lut"]["value"] == plain["totals"]["lut"]
    assert (metrics["lut"]["stage"], metrics["lut"]["tool"]) == ("synth", "yosys")
    assert metrics["lut"]["source"] == "70-synth-lfe5u-85f/synth.json"
    assert metrics["uram_utilisation"]["value"] is None
    assert metrics["uram_utilisation"]["reason"] == "LFE5U-85F has no URAM"


def _place(job: Job) -> Path:
    return job.out / "70-synth-lfe5u-85f"


@pytest.mark.yosys
def test_a_design_larger_than_the_part_is_kept_and_refused(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = replace(SMALL, name="LFE5U-1F", lut=20)
    monkeypatch.setitem(DEVICES, "LFE5U-1F", tiny)
    body, fits = commands_synth.synth(job, "LFE5U-1F")
    with pytest.raises(CheckError, match=r"larger than LFE5U-1F: \d+ LUT of 20 \(\d+ %\)"):
        fits()
    assert body["utilisation"]["lut"] > 1
    assert body["netlist"] is None
    assert (job.out / "70-synth-lfe5u-1f" / "synth.json").is_file()


def test_an_unknown_part_is_refused_before_anything_runs(job: Job) -> None:
    with pytest.raises(CompileError, match="part 'xc7k70t' is unknown; known: LFE5U-25F"):
        commands_synth.synth(job, "xc7k70t")
    assert not list(job.out.iterdir())


def test_without_yosys_nothing_runs(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from fpga_builds.eda import yosys

    monkeypatch.setattr(yosys, "_installed", lambda _module: False)
    with pytest.raises(ToolMissingError):
        commands_synth.synth(job, None)
    assert not list(job.out.iterdir())


def test_the_key_holds_part_and_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHYFOLD_YOSYS", raising=False)
    settings = {
        json.dumps(step_for(part, engine).settings(CONFIG))
        for part in (SMALL, LARGE)
        for engine in ("auto", "native", "wasm")
    }
    assert len(settings) == 6
    assert step_name(LARGE) == step_for(LARGE).name == "synth-lfe5u-85f"


def test_synthesis_needs_no_simulation(tmp_path: Path) -> None:
    step = step_for(LARGE)
    flow = Flow((*detector_steps(), step), CONFIG, tmp_path)
    names = [item.name for item in flow.needed([step.name])]
    assert names == ["train", "export", "compile", "hdl", step.name]
