# SPDX-License-Identifier: Apache-2.0
"""Every way into an accelerator is fed with the frames of the build's own task."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from csi_builds import (
    NAMES,
    Finished,
    finished,
    outputs_of,
    stand_in_models,
    tiny_encoder,
)
from fake_bench import accelerator as bench_accelerator
from fake_bench import config_of as detector

from fpga_builds import commands_synth, sources
from fpga_builds.belongs import misfit
from fpga_builds.board import ber
from fpga_builds.board.frames import FramesResult
from fpga_builds.commands import Job
from fpga_builds.config import BuildConfig, load_build, parse_build
from fpga_builds.flow import Flow, Step, StepContext
from fpga_builds.progress import Reporter
from fpga_builds.state import State, StepRecord
from fpga_builds.steps import bitstream, csi_simulate, netlist, simulate
from fpga_builds.steps.order import steps_of
from fpga_builds.stimulus import Chunk, Kind, input_codes, kind_of, random_codes
from hls.board import board
from hls.cycles import accelerator_cycles
from hls.devices import device
from models.csi.metrics import count
from models.errors import ConfigError

PART = device("LFE5U-25F")
HALVES = ("encoder", "decoder")


def foreign() -> BuildConfig:
    """A QONNX file of anyone's."""
    body = {"name": "theirs", "network": {"model": "m.onnx"}, "compile": {"output": "soft"}}
    return parse_build(body, "test")


@pytest.fixture(params=HALVES)
def built(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Finished:
    """A finished build of each half, with stand-ins for its models."""
    stand_in_models(monkeypatch)
    return finished(request.param, tmp_path)


class Seen:
    """A stand-in for whatever simulates: keeps the codes, gives what the reference gives."""

    def __init__(self, build: Finished) -> None:
        self.build = build
        self.codes: Any = None

    def run(self, codes: Any) -> Any:
        self.codes = np.asarray(codes).reshape(-1, *self.build.accelerator.input.shape)
        return outputs_of(self.build.accelerator, self.codes)


def seen_by_netlist(build: Finished, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Puts a stand-in in the place of the netlist's simulation."""
    seen, cycles = Seen(build), accelerator_cycles(build.accelerator)

    class Simulator:
        def __init__(self, *_: object, **__: object) -> None:
            self.ii_cycles, self.latency_cycles = cycles.ii_cycles, cycles.latency_cycles
            self.sim_cycles_per_s = None

        def __enter__(self) -> Simulator:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def run(self, codes: Any, **_: object) -> Simulator:
            self.outputs = seen.run(codes)
            return self

    monkeypatch.setattr("hls.sim.engine.Simulator", Simulator)
    for name in ("inline_cells", "build_netlist"):
        monkeypatch.setattr(netlist, name, lambda *_, **__: None)
    record = build.state.records["hdl"]
    (record.folder / "netlist.v").write_text("")
    record.files["netlist_verilog"] = "netlist.v"  # type: ignore[index]
    return seen


def seen_by_board(build: Finished, monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Puts a stand-in in the place of the board."""
    seen = Seen(build)
    kept: list[Any] = []

    def run_frames(_link: object, _status: object, _package: object, codes: Any, *_: object) -> Any:
        assert codes.ndim == 2
        outputs = seen.run(codes)
        kept.append(seen.codes)
        seen.codes = np.concatenate(kept)
        return FramesResult(outputs, 1, 1)

    monkeypatch.setattr(ber, "run_frames", run_frames)
    return seen


def measured(build: Finished, frames: int = 6) -> ber.BoardBer:
    """The board's count."""
    from hls.qonnx_exec import load_model, run_qonnx

    model = load_model(build.state.file("model"))
    files = build.state.file
    reference = ber.Reference(build.accelerator, lambda x: run_qonnx(model, x), files)
    config = build.config.updated("simulate", frames=frames)
    nothing: Any = None
    (row,) = ber.measure(config, nothing, nothing, nothing, reference=reference)
    return row


def test_every_kind_of_build_has_frames_of_its_own() -> None:
    builds = {
        Kind.CHANNEL: detector(),
        Kind.SAMPLES: load_build(NAMES["encoder"]),
        Kind.CODEWORDS: load_build(NAMES["decoder"]),
        Kind.RANDOM: foreign(),
    }
    assert {kind: kind_of(config) for kind, config in builds.items()} == {k: k for k in Kind}
    reads = {kind: sources.frame_reads(config) for kind, config in builds.items()}
    assert reads[Kind.SAMPLES] == ("samples",)
    assert reads[Kind.CODEWORDS] == ("samples", "feedback")
    assert reads[Kind.CHANNEL] == reads[Kind.RANDOM] == ()


def test_a_foreign_model_is_fed_with_random_codes_and_the_report_says_so(tmp_path: Path) -> None:
    from fpga_builds.report import report_body

    border = tiny_encoder().input
    frames = sources.open_frames(foreign(), ber.no_files, border)
    truth, x = frames.of(Chunk(None, 0, 5))
    assert truth is None
    expected = random_codes(border, Chunk(None, 0, 5), foreign().simulate.seed)
    np.testing.assert_array_equal(input_codes(border, x), expected)
    assert frames.kind.value == "random codes"
    said = [r for r in report_body(foreign(), State())["remarks"] if "random codes" in r]
    assert len(said) == 1
    assert not any("random codes" in r for r in report_body(detector(), State())["remarks"])


def test_the_waveform_is_of_the_samples(built: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, Any] = {}

    def write_waveform(_rtl: object, _acc: object, codes: Any, frames: range, **_: object) -> Path:
        shown.update(codes=codes, frames=frames)
        return built.out / "waveform.fst"

    monkeypatch.setattr("hls.sim.waveform.write_waveform", write_waveform)
    simulate.write_waveform_of(built.config, built.state, range(1, 3), built.out)
    np.testing.assert_array_equal(shown["codes"], built.codes[:3])
    kind = kind_of(built.config).value
    with pytest.raises(ConfigError, match=rf"the first chunk of {kind}, 0 to 3"):
        simulate.write_waveform_of(built.config, built.state, range(3, 5), built.out)


def test_a_waveform_beyond_the_samples_is_refused(tmp_path: Path) -> None:
    few = finished("encoder", tmp_path, frames=2)
    with pytest.raises(ConfigError, match=r"frames 1 to 2: .* channel samples, 0 to 1"):
        simulate.write_waveform_of(few.config, few.state, range(1, 3), few.out)


def test_the_netlist_gets_the_samples_and_nmse_is_counted(
    built: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_by_netlist(built, monkeypatch)
    output = netlist.run(built.context(), PART, 5, "auto")
    np.testing.assert_array_equal(seen.codes, built.codes[:5])
    body = json.loads((built.out / "work" / netlist.RESULT).read_text())
    point = count(built.samples[:5], built.images[:5])
    assert (body["frames"], body["samples"], body["mismatches"]) == (5, 5, 0)
    assert (body["bits"], body["errors"]) == (None, None)
    assert body["nmse_db"] == point.nmse_db
    assert body["ci95"] == list(point.ci95)
    assert body["rho"] == point.rho
    assert body["stimulus"] == kind_of(built.config).value
    found = {metric.name: metric for metric in output.metrics}
    assert found["netlist_nmse_db"].value == point.nmse_db
    assert found["netlist_nmse_db"].ci95 == point.ci95
    assert (found["netlist_nmse_db"].unit, found["netlist_nmse_db"].stage) == ("dB", "netlist")
    assert found["netlist_frames"].ci95 is None


def test_more_frames_than_samples_are_those_that_there_are(
    built: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_by_netlist(built, monkeypatch)
    assert netlist.run(built.context(), PART, 200, "auto").info["frames"] == 6
    np.testing.assert_array_equal(seen.codes, built.codes)


def test_one_sample_has_an_nmse_and_no_interval(
    built: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fpga_builds.commands_synth import netlist_lines

    seen_by_netlist(built, monkeypatch)
    output = netlist.run(built.context(), PART, 1, "auto")
    body = json.loads((built.out / "work" / netlist.RESULT).read_text())
    assert body["nmse_db"] == count(built.samples[:1], built.images[:1]).nmse_db
    assert (body["samples"], body["ci95"]) == (1, None)
    metric = next(m for m in output.metrics if m.name == "netlist_nmse_db")
    assert metric.ci95 is None
    first, second = netlist_lines(body)
    assert f"1 {kind_of(built.config).value} on the netlist, every bit equals" in first
    assert f"{body['nmse_db']:.2f} dB (one sample)" in second


def test_bit_errors_of_a_detector_are_counted_over_all_snrs(tmp_path: Path) -> None:
    config, acc = detector(), bench_accelerator()
    frames = sources.open_frames(config, ber.no_files, acc.input)
    chunks = frames.first(config, 11)
    assert [(chunk.snr_db, chunk.frames) for chunk in chunks] == [(0.0, 6), (4.0, 6)]
    sent = np.concatenate([frames.of(chunk)[0] for chunk in chunks])
    got = sent.astype(np.int64).copy()
    got[[0, 5, 6, 11], 1] ^= 1
    context = StepContext(config, tmp_path, tmp_path, State())
    assert netlist.counted(context, acc, chunks, sent, got) == {"bits": sent.size, "errors": 4}
    body = {"frames": 12, "mismatches": 0, "ii_cycles": None, "latency_cycles": 9}
    assert "netlist_nmse_db" not in {metric.name for metric in netlist.metrics(body, PART)}


def test_golden_frames_of_a_self_test_are_samples(
    built: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def write_board(_acc: object, _rtl: object, _board: object, inputs: Any, outputs: Any,
                    *_: object, **__: object) -> None:  # fmt: skip
        given.update(inputs=inputs, outputs=outputs)

    monkeypatch.setattr(bitstream, "write_board", write_board)
    monkeypatch.setattr(bitstream, "load_board", lambda folder: folder)
    bitstream._package(built.context(), built.accelerator, board("ulx3s"))
    np.testing.assert_array_equal(given["inputs"], built.codes.reshape(6, -1))
    np.testing.assert_array_equal(given["outputs"], outputs_of(built.accelerator, built.codes))


def test_a_board_gets_the_samples_and_nmse_is_counted(
    built: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = seen_by_board(built, monkeypatch)
    row = measured(built)
    np.testing.assert_array_equal(seen.codes, built.codes)
    assert (row.frames, row.mismatches, row.snr_db) == (6, 0, None)
    point = count(built.samples, built.images)
    assert row.point is not None
    assert row.point["samples"] == 6
    assert row.point["nmse_db"] == pytest.approx(point.nmse_db, rel=1e-12)  # chunks added up
    assert row.point["rho"] == pytest.approx(point.rho, rel=1e-12)
    assert measured(built, frames=1000).frames == 6
    assert measured(built, frames=5).frames == 5


@pytest.mark.parametrize("half", HALVES)
def test_steps_on_request_run_the_steps_of_their_frames_first(half: str, tmp_path: Path) -> None:
    config = load_build(NAMES[half])
    for step in (netlist.step_for(config, PART), bitstream.step_for(config, board("ulx3s"))):
        flow = Flow((*steps_of(config), step), config, tmp_path)
        names = [item.name for item in flow.needed([step.name])]
        assert "data" in names
        assert ("feedback" in names) is (half == "decoder")
        assert set(sources.frame_reads(config)) <= set(step.reads)
    reads = netlist.step_for(config, PART).reads
    assert ("other_model" in reads) is (half == "encoder")
    assert "samples" not in netlist.step_for(detector(), PART).reads


def test_synth_gets_the_codewords_before_the_netlist_is_simulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def run_step(_flow: Flow, step: Step, state: State) -> StepRecord:
        missing = [name for name in step.reads if not state.has(name)]
        assert not missing, f"{step.name} runs without {missing}"
        ran.append(step.name)
        files = dict.fromkeys(step.writes, "file")
        return StepRecord(step.name, tmp_path, "k", {}, files, info={"frames": 5})

    made = SimpleNamespace(to_json=dict, netlist_json="n.json", netlist_verilog="n.v")
    monkeypatch.setattr(Flow, "run_step", run_step)
    monkeypatch.setattr(commands_synth, "load_synthesis", lambda _record: made)
    monkeypatch.setattr(commands_synth, "fits", lambda _made: True)
    monkeypatch.setattr(commands_synth, "layers_of", lambda *_: [])
    config = load_build(NAMES["decoder"])
    job = Job(config, tmp_path, reporter=Reporter(quiet=True))
    body, _fits = commands_synth.synth(job, PART.name, netlist_frames=5)
    assert body["netlist"] == {"frames": 5}
    assert len(ran) == len(set(ran))
    assert ran[-2:] == ["feedback", f"netlist-{PART.name.lower()}"]


def test_the_terminal_says_what_was_fed(capsys: pytest.CaptureFixture[str]) -> None:
    from fpga_builds.commands_bitstream import show_bitstream
    from fpga_builds.commands_board import show_ber
    from fpga_builds.views import console, show_simulation

    cycles = {"ii_cycles": None, "latency_cycles": 9, "sim_cycles_per_s": None, "clock_mhz": 100.0}
    body = {"frames": 1000, "mismatches": 0, "stimulus": "random codes", **cycles}
    show_simulation(console(), body)
    assert "1,000 random codes on RTL, every bit equals" in capsys.readouterr().out
    link = {"requests": 1, "retries": 0}
    show_ber(console(), {**body, "points": [], "clock_hz": 1, "link": link})
    assert "1,000 random codes on the board, every bit equals" in capsys.readouterr().out
    clock = {"timing_met": True, "fmax_mhz": 99.0, "target_mhz": 90.0, "part": "p"}
    board_body = {"bitstream": "b.bit", "bytes": 9, "selftest_simulated": True, **clock}
    show_bitstream(console(), {**board_body, "selftest_stimulus": "random codes"})
    assert "self-test   passed on random codes, in the simulated board" in capsys.readouterr().out


def test_other_data_or_seed_simulates_the_netlist_again() -> None:
    config = load_build(NAMES["encoder"])
    step = netlist.step_for(config, PART)
    others = (config.updated("csi", data="umi"), config.updated("csi", seed=9))
    keys = {json.dumps(step.settings(c), default=str) for c in (config, *others)}
    assert len(keys) == 3


def test_a_folder_without_samples_or_with_codewords_of_others_is_refused(tmp_path: Path) -> None:
    build = finished("decoder", tmp_path / "a")
    sources.require_frames(build.config, build.state, {})
    lost = [r for name, r in build.state.records.items() if name != "feedback"]
    state = State({record.step: record for record in lost})
    with pytest.raises(ConfigError, match="no feedback there to measure with") as caught:
        sources.require_frames(build.config, state, {})
    assert f"phyfold simulate {NAMES['decoder']}" in caught.value.hint
    np.savez(build.state.file("samples"), samples=build.samples[::-1])
    reason = misfit(build.state.records["feedback"], state)
    assert "another 'samples'" in reason
    with pytest.raises(ConfigError, match="are of other samples than those of the step data"):
        sources.require_frames(build.config, state, {"feedback": reason})
    alone = finished("encoder", tmp_path / "b")
    sources.require_frames(alone.config, alone.state, {})
    sources.require_frames(detector(), State(), {})


@pytest.mark.verilator
@pytest.mark.yosys
def test_netlist_and_rtl_give_the_same_nmse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the models is a stand-in: RTL and netlist are simulated."""
    from fpga_builds.eda.synth import synthesize
    from fpga_builds.rtl_index import load_rtl

    stand_in_models(monkeypatch)
    build = finished("encoder", tmp_path)
    rtl = csi_simulate.simulate(build.context("rtl")).info
    assert (rtl["samples"], rtl["stimulus"]) == (6, "channel samples")
    made = synthesize(load_rtl(build.state.file("rtl_index")), PART, tmp_path / "synth")
    record = build.state.records["hdl"]
    made.netlist_verilog.rename(record.folder / "netlist.v")
    record.files["netlist_verilog"] = "netlist.v"  # type: ignore[index]
    body = netlist.run(build.context("netlist"), PART, 6, "auto").info
    assert body["mismatches"] == rtl["mismatches"] == 0
    assert body["samples"] == 6
    assert body["nmse_db"] == pytest.approx(rtl["nmse_db"], rel=1e-12)  # of two chunks there
    assert body["rho"] == pytest.approx(rtl["rho"], rel=1e-12)
    assert body["nmse_db"] == count(build.samples, build.images).nmse_db
