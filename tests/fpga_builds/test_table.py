# SPDX-License-Identifier: Apache-2.0
"""The README's table comes from kept results, and from nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fpga_builds import table
from fpga_builds.config import load_build
from fpga_builds.storage import hash_path, read_json, write_json
from models.ber import BerPoint
from models.errors import ConfigError

ROOT = Path(__file__).parents[2]


def report(name: str, frames: int, *, passed: bool = True, weights: str = "w") -> dict[str, Any]:
    """A small report."""
    points = [BerPoint(snr, frames, 30 * frames, 60, 50, 70).to_json() for snr in table.SNRS_DB]
    metric = {"name": "throughput_per_s", "stage": "rtlsim", "value": 66_666.7}
    return {
        "build": name,
        "description": "d",
        "phyfold": "0.1.0",
        "seed": 1,
        "frames": 3 * frames,
        "passed": passed,
        "weights_sha256": weights,
        "results": {},
        "config": {"compile": {"part": "LFE5U-85F"}},
        "checks": [],
        "metrics": [metric, {"name": "clock_mhz", "stage": "estimate", "value": 100.0}],
        "curves": {"rtl": points, "ml": points},
        "steps": [{"name": "simulate", "versions": {"verilator": "5.48.0"}}],
    }


def build(root: Path, *args: Any, **more: Any) -> None:
    """A report in the folder of its build."""
    body = report(*args, **more)
    write_json(root / body["build"] / "report.json", body)


def test_the_readme_is_what_the_kept_results_give() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = readme.split(table.BEGIN)[1].split(table.END)[0].strip()
    assert shown == table.table(ROOT / table.KEPT).strip()


@pytest.mark.parametrize("path", sorted((ROOT / table.KEPT).glob("*.json")), ids=lambda p: p.stem)
def test_kept_results_are_those_of_the_shipped_weights(path: Path) -> None:
    kept = read_json(path)
    checkpoint = load_build(kept["build"]).network.checkpoint
    folder = ROOT / "quant" / ("csi/checkpoints" if "csi" in kept else "checkpoints")
    weights = folder / str(checkpoint) / "weights.safetensors"
    assert kept["weights_sha256"] == hash_path(weights), "run `make results`: weights have changed"


def test_table_has_rows_in_order_intervals_and_baselines(tmp_path: Path) -> None:
    for name in ("fullycon_w4a4", "fullycon_w8a8", "another"):
        build(tmp_path / "build", name, 1000)
    kept = tmp_path / "kept"
    taken, refused = table.collect(tmp_path / "build", kept)
    assert (len(taken), refused) == (3, [])
    lines = table.table(kept).splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
    assert names == ["build", "---", "`fullycon_w8a8`", "`fullycon_w4a4`", "`another`",
                     "maximum likelihood"]  # fmt: skip
    assert "2.00e-03 (" in lines[2]
    assert "66,667" in lines[2]
    assert "all 9,000 frames equal" in " ".join(lines)
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_a_row_names_every_resource_with_its_share_of_the_part(tmp_path: Path) -> None:
    body = report("fullycon_w8a8", 1000)
    for name, value in (("lut", 37_404), ("bram18", 176), ("dsp", 138)):
        body["metrics"].append({"name": name, "stage": "estimate", "value": value})
    write_json(tmp_path / "build" / "fullycon_w8a8" / "report.json", body)
    table.collect(tmp_path / "build", tmp_path / "kept")
    text = table.table(tmp_path / "kept")
    assert "| LUT | BRAM18 | DSP |" in text
    assert "| 37,404 (45 %) | 176 (85 %) | 138 (88 %) |" in text


def test_more_frames_win_and_failed_reports_never_do(tmp_path: Path) -> None:
    root, kept = tmp_path / "build", tmp_path / "kept"
    build(root, "a", 1000)
    assert table.collect(root, kept) == (["a"], [])
    build(root, "a", 10)
    assert table.collect(root, kept) == ([], [])
    build(root, "a", 5000, passed=False)
    assert table.collect(root, kept) == ([], [])
    assert read_json(kept / "a.json")["frames"] == 3000
    build(root, "a", 2000)
    assert table.collect(root, kept) == (["a"], [])
    build(root, "a", 10, weights="trained again")
    assert table.collect(root, kept) == (["a"], [])


def test_update_readme_keeps_the_rest(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"head\n{table.BEGIN}\nold\n{table.END}\ntail\n")
    assert table.update_readme(readme, "new\n")
    assert readme.read_text() == f"head\n{table.BEGIN}\nnew\n{table.END}\ntail\n"
    assert not table.update_readme(readme, "new\n")
    readme.write_text("no markers")
    with pytest.raises(ConfigError, match="markers"):
        table.update_readme(readme, "x")


def test_nothing_kept_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{table.BEGIN}{table.END}")
    words = ["--builds", str(tmp_path), "--kept", str(tmp_path / "k"), "--readme", str(readme)]
    assert table.main(words) == 0
    assert "No results yet" in readme.read_text()
    assert "results taken: none; table written" in capsys.readouterr().out


def test_frames_that_float32_rounds_are_not_said_to_equal_qonnx(tmp_path: Path) -> None:
    body = report("fullycon_w4a4", 1000)
    body["metrics"].append({"name": "float32_frames", "stage": "rtlsim", "value": 7})
    write_json(tmp_path / "build" / "fullycon_w4a4" / "report.json", body)
    table.collect(tmp_path / "build", tmp_path / "kept")
    text = table.table(tmp_path / "kept")
    assert "equal exact arithmetic (7 of them QONNX' float32 rounds otherwise) bit for bit" in text
    assert "equal the QONNX execution" not in text
