# SPDX-License-Identifier: Apache-2.0
"""Counting on RTL, with a stand-in for the RTL: chunks, resuming, mismatches, sums."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_bench import II, LATENCY, SYMBOLS, accelerator, bench, config_of, context_of

from fpga_builds.steps.rtl_count import count_chunks
from fpga_builds.steps.simulate import _metrics, summary
from fpga_builds.stimulus import chunks_of, received, system_of
from hls.compiler import to_codes
from models import files
from models.ber import count
from models.errors import MismatchError, StorageError

HELPERS = Path(__file__).parents[1] / "helpers"


def simulated(out: Path, **simulate: Any) -> dict[str, Any]:
    """Summary of a simulation with the stand-in."""
    config = config_of(**simulate)
    return summary(config, accelerator(), count_chunks(context_of(config, out), bench(config)))


def comparable(body: dict[str, Any]) -> str:
    """All but the times."""
    return json.dumps({k: v for k, v in body.items() if k != "sim_cycles_per_s"})


def test_the_machine_view_has_what_others_rely_on(tmp_path: Path) -> None:
    body = simulated(tmp_path)
    assert body["build"] == "demo"
    assert (body["frames"], body["mismatches"]) == (500, 0)
    assert (body["ii_cycles"], body["latency_cycles"], body["clock_mhz"]) == (II, LATENCY, 100.0)
    assert body["sim_cycles_per_s"] == pytest.approx(1e6)
    assert [point["snr_db"] for point in body["points"]] == [0.0, 4.0]
    for point in body["points"]:
        assert point["bits"] == 250 * SYMBOLS
        assert point["ber"] == point["errors"] / point["bits"]
        low, high = point["ci95"]
        assert low < point["ber"] < high
    assert body["points"] == body["qonnx_points"]


def test_errors_are_those_of_the_detector(tmp_path: Path) -> None:
    config = config_of(snr_db=[0.0], frames=100)
    assert config.channel is not None
    sent, x = received(config, system_of(config.channel), chunks_of(config)[0])
    codes = to_codes(accelerator().input, x)
    decided = bench(config).simulate(codes, lambda *_: None).outputs
    expected = count(0.0, sent, decided)
    point = simulated(tmp_path, snr_db=[0.0], frames=100)["points"][0]
    assert point["errors"] == expected.errors > 0


def test_counted_chunks_are_kept_and_more_frames_added(tmp_path: Path) -> None:
    ran: list[int] = []

    def run(frames: int) -> int:
        config = config_of(frames=frames)
        ran.clear()
        counting = bench(config, on_chunk=lambda: ran.append(1))
        count_chunks(context_of(config, tmp_path), counting)
        return len(ran)

    assert run(250) == 6
    assert run(250) == 0
    assert run(300) == 2  # the last, shorter chunk of each SNR is counted in full
    assert run(400) == 2
    assert run(250) == 0


def test_another_seed_or_rtl_counts_anew(tmp_path: Path) -> None:
    config = config_of()
    count_chunks(context_of(config, tmp_path), bench(config))
    ran: list[int] = []
    other = config_of(seed=2)
    count_chunks(context_of(other, tmp_path), bench(other, on_chunk=lambda: ran.append(1)))
    assert len(ran) == 6
    context = context_of(config, tmp_path)
    context.input("rtl").write_text("another design")
    count_chunks(context, bench(config, on_chunk=lambda: ran.append(1)))
    assert len(ran) == 12


def test_a_damaged_chunk_is_counted_again(tmp_path: Path) -> None:
    whole = simulated(tmp_path)
    victim = sorted((tmp_path / "cache" / "simulate").rglob("*.json"))[0]
    victim.write_text(victim.read_text()[:40])
    assert comparable(simulated(tmp_path)) == comparable(whole)


def test_a_wrong_bit_is_named(tmp_path: Path) -> None:
    config = config_of()
    with pytest.raises(MismatchError) as caught:
        count_chunks(context_of(config, tmp_path), bench(config, flip=(60, 2)))
    message = caught.value.message
    assert "RTL and QONNX differ in 1 of 50 frames at 0 dB" not in message
    assert "RTL and QONNX differ in 1 of 100 frames at 0 dB" in message
    assert "first in frame 60 (seed 1), output 2: RTL gives" in message
    assert "layer third is wrong in frame 60 of its chunk" in message
    assert caught.value.exit_code == 1
    assert not list((tmp_path / "cache").rglob("*.json"))


def test_a_kill_costs_one_chunk(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from fake_bench import bench, config_of, context_of
from fpga_builds.steps.rtl_count import count_chunks
config = config_of()
count_chunks(context_of(config, Path(sys.argv[1])), bench(config, delay_s=0.4))
"""
    killed = tmp_path / "killed"
    killed.mkdir()
    command = [sys.executable, "-c", code, str(killed)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(HELPERS)}) as process:
        deadline = time.monotonic() + 60
        while len(list(killed.rglob("snr*.json"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    kept = len(list(killed.rglob("snr*.json")))
    assert 3 <= kept < 6
    config = config_of()
    ran: list[int] = []
    records = count_chunks(
        context_of(config, killed), bench(config, on_chunk=lambda: ran.append(1))
    )
    assert len(ran) == 6 - kept
    undisturbed = simulated(tmp_path / "whole")
    assert comparable(summary(config, accelerator(), records)) == comparable(undisturbed)


def test_a_full_disk_keeps_what_was_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of()
    real, written = files.os.fsync, 0

    def filling(handle: int) -> None:
        nonlocal written
        written += 1
        if written > 4:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", filling)
    with pytest.raises(StorageError, match="no space left"):
        count_chunks(context_of(config, tmp_path), bench(config))
    monkeypatch.setattr(files.os, "fsync", real)
    ran: list[int] = []
    count_chunks(context_of(config, tmp_path), bench(config, on_chunk=lambda: ran.append(1)))
    assert len(ran) == 2


def test_metrics_carry_unit_stage_and_interval(tmp_path: Path) -> None:
    metrics = {metric.name: metric for metric in _metrics(simulated(tmp_path))}
    assert metrics["throughput_per_s"].value == pytest.approx(100e6 / II)
    assert metrics["latency_us"].value == pytest.approx(LATENCY / 100)
    ber = metrics["ber.snr_4"]
    assert ber.stage == "rtlsim"
    assert ber.ci95 is not None
    assert ber.version
    body = {**simulated(tmp_path), "ii_cycles": None}
    missing = {metric.name: metric for metric in _metrics(body)}["throughput_per_s"]
    assert missing.value is None
    assert "too few frames" in missing.reason
