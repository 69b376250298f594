# SPDX-License-Identifier: Apache-2.0
"""Builds of CSI networks: configuration, samples, counting, report; with stand-ins for the RTL."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_bench import FakeResult, context_of

from fpga_builds import csi
from fpga_builds.commands import configure, train
from fpga_builds.config import BuildConfig, load_build, parse_build
from fpga_builds.csi_report import csi_checks, csi_section, loss_metric
from fpga_builds.metrics import MetricSet
from fpga_builds.progress import Reporter
from fpga_builds.report import make_report
from fpga_builds.state import State, StepRecord
from fpga_builds.steps import csi_feedback, csi_simulate
from fpga_builds.steps.csi_train import csi_recipe_for, recipe_on
from fpga_builds.steps.order import steps_of
from fpga_builds.steps.rtl_count import Bench, count_chunks, outputs_of
from fpga_builds.stimulus import Chunk, chunks_of, dequantize, input_codes
from fpga_builds.storage import write_json
from hls.ir import Accelerator, Border, IntFormat
from models.csi.metrics import CsiPoint, count
from models.errors import CheckError, ConfigError, MismatchError

ENCODER, DECODER = "convsqucsinet_enc_r16", "convsqucsinet_dec_r16"
CODE = Border("m", (2, 16, 4), IntFormat(8, signed=True), (2.0**-6,), (0.0,), "codes")
IMAGE = Border("s", (32, 32, 2), IntFormat(8, signed=True), (2.0**-5,), (0.0,), "codes")


def config_of(**simulate: Any) -> BuildConfig:
    """The encoder's build on the small set, few samples."""
    settings = {"frames": 12, "chunk_frames": 5, **simulate}
    return load_build(ENCODER).updated("csi", data="small").updated("simulate", **settings)


def samples_of(config: BuildConfig) -> Any:
    """What the data step draws."""
    return csi.draw_samples(config, lambda *_: None)[0]


def bench_of(config: BuildConfig, *, flip: bool = False) -> Bench:
    """A bench whose accelerator gives back its input's codes: y is x, quantized."""
    acc = Accelerator("demo", (), (), IMAGE, IMAGE, clock_mhz=100.0)
    samples = samples_of(config)

    def simulate(codes: Any, _progress: object) -> FakeResult:
        outputs = codes.reshape(len(codes), -1).copy()
        if flip:
            outputs[1, 7] += 1
        return FakeResult(outputs)

    return Bench(
        accelerator=acc,
        simulate=simulate,  # type: ignore[arg-type]
        qonnx=lambda x: dequantize(IMAGE, input_codes(IMAGE, x)),
        frames=csi.frame_source(config, samples, samples),
        explain=lambda _codes, frame: f"frame {frame}",
        score=csi.scorer(IMAGE, None),
        keep_outputs=True,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": {}}, r"\[channel\] is a detector's and \[csi\] a CSI network's"),
        ({"network": {"model": "x.onnx"}}, r"\[csi\] needs network.checkpoint"),
        ({"compile": {"output": "hard_pairs"}}, "the encoder of a CSI network needs 'codes'"),
        ({"csi": {"half": "middle", "other": "x"}}, "csi.half = 'middle'"),
        ({"csi": {"half": "encoder"}}, "csi.other is missing"),
    ],
    ids=["channel", "model", "output", "half", "other"],
)
def test_wrong_builds_are_refused(change: dict[str, Any], message: str) -> None:
    body = load_build(ENCODER).model_dump(mode="json", exclude_none=True)
    with pytest.raises(ConfigError, match=message):
        parse_build({**body, **change}, "build.toml")


def test_options_of_the_other_kind_are_refused() -> None:
    assert configure(ENCODER, data="small", samples=7).simulate.frames == 7
    assert configure(ENCODER, seed=5).csi.seed == 5  # type: ignore[union-attr]
    with pytest.raises(ConfigError, match="--samples and --data are of CSI builds"):
        configure("fullycon_w4a4", data="inh")


def test_a_decoder_gets_codewords_and_an_encoder_keeps_them() -> None:
    names = {half: [s.name for s in steps_of(load_build(b)) if s.applies(load_build(b))]
             for half, b in (("encoder", ENCODER), ("decoder", DECODER))}  # fmt: skip
    assert "feedback" in names["decoder"]
    assert "feedback" not in names["encoder"]
    assert names["encoder"].count("simulate") == names["decoder"].count("simulate") == 1


def test_the_encoder_of_a_decoder_has_its_samples() -> None:
    decoder = load_build(DECODER).updated("csi", data="small").updated("simulate", frames=9)
    other = csi_feedback.encoder_of(decoder)
    assert other.csi is not None
    assert (other.name, other.csi.data, other.simulate.frames) == (ENCODER, "small", 9)
    wrong = decoder.updated("csi", other=DECODER)
    with pytest.raises(ConfigError, match="is no build of an encoder"):
        csi_feedback.encoder_of(wrong)


def test_samples_are_the_first_of_the_test_split() -> None:
    few, more = samples_of(config_of(frames=3)), samples_of(config_of(frames=5))
    np.testing.assert_array_equal(few, more[:3])
    assert few.dtype == np.float32
    with pytest.raises(ConfigError, match=r"frames = 9999, but the test split of small has 150"):
        samples_of(config_of(frames=9999))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no zip"], ids=["empty", "cut", "text"])
def test_a_damaged_file_of_samples_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    path.write_bytes(content)
    with pytest.raises(CheckError, match=r"samples.npz: not readable"):
        csi.load_samples(path)


def test_too_few_codewords_are_refused() -> None:
    config = config_of()
    samples = samples_of(config)
    with pytest.raises(CheckError, match="3 codewords for 12 samples"):
        csi.frame_source(config, samples, samples[:3])


def test_chunks_add_up_to_the_count_of_all_samples(tmp_path: Path) -> None:
    config = config_of()
    bench = bench_of(config)
    context = context_of(config, tmp_path)
    records = count_chunks(context, bench)
    assert [record["frames"] for record in records] == [5, 5, 2]
    samples = samples_of(config)
    quantized = dequantize(IMAGE, input_codes(IMAGE, samples))
    expected = count(samples, quantized)
    found = reduce(add, (CsiPoint.from_json(record["rtl"]) for record in records))
    assert found.nmse_db == pytest.approx(expected.nmse_db)
    assert found.rho == pytest.approx(expected.rho)
    outputs = outputs_of(context, bench)
    np.testing.assert_array_equal(outputs, input_codes(IMAGE, samples).reshape(12, -1))
    np.testing.assert_array_equal(csi.reconstruct(IMAGE, outputs, None), quantized)


def test_a_lost_file_of_outputs_is_made_again(tmp_path: Path) -> None:
    config = config_of()
    bench, context = bench_of(config), context_of(config, tmp_path)
    count_chunks(context, bench)
    victim = sorted(tmp_path.rglob("*.npy"))[1]
    before = victim.read_bytes()
    victim.unlink()
    count_chunks(context, bench)
    assert victim.read_bytes() == before


def test_a_wrong_code_is_a_mismatch(tmp_path: Path) -> None:
    config = config_of()
    with pytest.raises(MismatchError, match="differ in 1 of 5 frames; first in frame 1"):
        count_chunks(context_of(config, tmp_path), bench_of(config, flip=True))


def test_codewords_are_decoded_before_they_are_counted() -> None:
    config = config_of()
    samples = samples_of(config)[:2]
    codes = np.ones((2, 128), dtype=np.int64)
    seen = []

    def decode(values: Any) -> Any:
        seen.append(values)
        return samples

    record = csi.scorer(CODE, decode)(Chunk(None, 0, 2), samples, codes)
    assert record is not None
    assert record["nmse_db"] == -np.inf
    np.testing.assert_array_equal(seen[0], np.full((2, 4, 2, 16), 2.0**-6, np.float32))
    assert csi.feedback_bits(CODE) == 8 * 128


def state_of(out: Path, *, float_db: float | None = -10.0) -> tuple[BuildConfig, State]:
    """A finished build."""
    config = config_of()
    bench = bench_of(config)
    records = count_chunks(context_of(config, out), bench)
    body = csi_simulate.summary(config, bench.accelerator, records, 1024)
    samples = samples_of(config)[:3]
    np.savez(out / "examples.npz", samples=samples, images=samples)
    files = {"examples": "examples.npz"}
    found = csi_simulate.metrics(body)
    state = State().with_record(StepRecord("simulate", out, "k", {}, files, found, body))
    if float_db is not None:
        point = {**body["point"], "nmse_db": float_db, "title": "floating point"}
        write_json(out / "baselines.json", {"float": point})
        last = StepRecord("baselines", out, "k", {}, {"baselines": "baselines.json"})
        state = state.with_record(last)
    return config, state


def test_the_machine_view_has_what_others_rely_on(tmp_path: Path) -> None:
    _config, state = state_of(tmp_path)
    body = state.records["simulate"].info
    promised = {"build", "samples", "mismatches", "ii_cycles", "latency_cycles", "clock_mhz",
                "sim_cycles_per_s", "nmse_db", "ci95", "rho", "feedback_bits"}  # fmt: skip
    assert promised <= set(body)
    assert body["samples"] == 12
    assert body["ci95"][0] < body["nmse_db"] < body["ci95"][1]


def test_the_report_shows_nmse_loss_and_pictures(tmp_path: Path) -> None:
    config, state = state_of(tmp_path)
    body = make_report(config, tmp_path, state)
    assert body["csi"]["rtl"]["feedback_bits"] == 1024
    loss = next(m for m in body["metrics"] if m["name"] == "nmse_loss_db")
    assert loss["value"] == pytest.approx(body["csi"]["rtl"]["nmse_db"] + 10.0)
    text = (tmp_path / "report.md").read_text()
    assert f"{body['csi']['rtl']['nmse_db']:.2f} (" in text
    assert "floating point" in text
    assert (tmp_path / body["plots"]["csi"]).is_file()
    assert "through the RTL" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("limit", "passed"), [(0.5, False), (60.0, True)], ids=["missed", "met"])
def test_a_limit_on_the_loss_is_checked(limit: float, passed: bool, tmp_path: Path) -> None:
    config, state = state_of(tmp_path, float_db=-45.0)
    config = config.updated("checks", max_nmse_loss_db=limit)
    section = csi_section(config, state)
    assert section is not None
    metric = loss_metric(section)
    assert metric.counted == 12
    (check,) = csi_checks(config, MetricSet([replace(metric, counted=100)]))
    assert check.passed is passed
    (check,) = csi_checks(config, MetricSet([metric]))
    assert check.passed is None  # 12 samples decide nothing
    assert "of 100 channel samples or more" in check.rule


def test_a_loss_that_was_not_measured_fails_its_check(tmp_path: Path) -> None:
    config, state = state_of(tmp_path, float_db=None)
    config = config.updated("checks", max_nmse_loss_db=1.0)
    section = csi_section(config, state)
    assert section is not None
    metric = loss_metric(section)
    assert metric.value is None
    assert "floating point" in metric.reason
    (check,) = csi_checks(config, MetricSet([metric]))
    assert not check.passed


def test_chunks_of_samples_have_no_snr() -> None:
    assert {chunk.snr_db for chunk in chunks_of(config_of())} == {None}


def test_recipes_are_found_by_build_and_by_name() -> None:
    found = csi_recipe_for(ENCODER)
    assert found is not None
    assert (found[0], found[1].name) == (ENCODER, "convsqucsinet_r16_w8a8")
    found = csi_recipe_for("convsqucsinet_r16_float")
    assert found is not None
    assert found[1].quant is None
    assert csi_recipe_for("fullycon_w4a4") is None
    assert csi_recipe_for("fullycon_float") is None


def test_training_data_is_named_or_a_folder(tmp_path: Path) -> None:
    found = csi_recipe_for(ENCODER)
    assert found is not None
    recipe = found[1]
    assert recipe_on(recipe, None) == (recipe, None)
    assert recipe_on(recipe, "umi")[0].data.kind == "umi"
    other, folder = recipe_on(recipe, str(tmp_path))
    assert (other.data.kind, folder) == ("cost2100_in", str(tmp_path))
    with pytest.raises(ConfigError, match="--data vienna: neither inh, umi or small, nor a folder"):
        recipe_on(recipe, "vienna")


def test_a_short_training_leaves_a_measured_checkpoint(tmp_path: Path) -> None:
    quiet = Reporter(quiet=True)
    body = train(
        "convsqucsinet_r16_float", tmp_path, quiet, threads=1, quick=True, device="cpu", seed=3
    )
    assert body["samples"] == 150
    assert body["ci95"][0] < body["nmse_db"] < body["ci95"][1]
    assert (Path(body["checkpoint"]) / "weights.safetensors").is_file()
    assert Path(body["learning_curve"]).is_file()
    with pytest.raises(ConfigError, match="--data is of CSI builds"):
        train("fullycon_float", tmp_path, quiet, threads=1, quick=True, device="cpu", seed=None,
              data="inh")  # fmt: skip


def test_a_chunk_of_one_sample_is_counted(tmp_path: Path) -> None:
    """Its interval is infinite, which JSON does not have."""
    config = config_of(frames=6)
    bench = bench_of(config)
    records = count_chunks(context_of(config, tmp_path), bench)
    assert [record["frames"] for record in records] == [5, 1]
    assert records[1]["rtl"]["ci95"] is records[1]["rtl"]["rho_ci95"] is None
    body = csi_simulate.summary(config, bench.accelerator, records, 1024)
    assert body["nmse_db"] == pytest.approx(count(samples_of(config), quantized(config)).nmse_db)
    assert body["ci95"][0] < body["nmse_db"] < body["ci95"][1]


def quantized(config: BuildConfig) -> Any:
    """What comes back of the samples when only the host quantizes."""
    return dequantize(IMAGE, input_codes(IMAGE, samples_of(config)))


def test_one_sample_has_no_interval_in_any_view(tmp_path: Path) -> None:
    config = config_of(frames=1)
    bench = bench_of(config)
    records = count_chunks(context_of(config, tmp_path), bench)
    body = csi_simulate.summary(config, bench.accelerator, records, 1024)
    assert all(metric.ci95 is None for metric in csi_simulate.metrics(body))
    record = StepRecord("simulate", tmp_path, "k", {}, {}, csi_simulate.metrics(body), body)
    make_report(config, tmp_path, State().with_record(record))
    assert f"| 1 | {body['nmse_db']:.2f} | " in (tmp_path / "report.md").read_text()
    assert "(one sample)" in csi.nmse_text(body)


def test_snr_points_are_not_of_csi_builds() -> None:
    with pytest.raises(ConfigError, match="--snr-db is of detectors, this is a CSI network"):
        configure(ENCODER, simulate={"snr_db": [8.0]})
