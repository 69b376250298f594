# SPDX-License-Identifier: Apache-2.0
"""`phyfold list`: figures of one report each, in 120 columns, for the builds that are asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from fpga_builds import overview as module
from fpga_builds.config import available_builds
from fpga_builds.overview import KEPT, overview
from fpga_builds.storage import write_json
from fpga_builds.terminal import Terminal
from fpga_builds.views_builds import builds_table
from models.errors import ConfigError

DETECTOR, CSI = "fullycon_w4a4", "convcsinet_enc_r16"


def shown(rows: list[dict[str, Any]]) -> list[str]:
    """Lines of the table on a terminal of 120 columns, without the caption."""
    console = Terminal(file=io.StringIO(), width=120)
    console.print(builds_table(rows))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    return [line.rstrip() for line in lines[: len(rows) + 3] if line.strip()]


def test_all_shipped_builds_have_their_checkpoint_and_figures(tmp_path: Path) -> None:
    rows = overview(tmp_path)
    assert [row["build"] for row in rows] == available_builds()
    assert all(row["checkpoint"] for row in rows)
    for row in rows:
        if (KEPT / f"{row['build']}.json").is_file():
            assert row["reasons"] == {}, row["build"]
            assert not row["other_weights"], row["build"]
            assert row["metric"]["value"] is not None
        else:
            assert row["reasons"]["lut"] == "no report yet: `phyfold run` makes one"
    lines = shown(rows)
    assert len(lines) == len(rows) + 2
    for row, line in zip(rows, lines[2:], strict=True):
        assert line.split()[:2] == [row["build"], row["part"]]
        assert "\N{HORIZONTAL ELLIPSIS}" not in line


def test_figures_are_those_of_the_kept_result(tmp_path: Path) -> None:
    detector, csi = (overview(tmp_path, [name])[0] for name in (DETECTOR, CSI))
    for row in (detector, csi):
        kept = json.loads((KEPT / f"{row['build']}.json").read_text())
        found = {(m["name"], m["stage"]): m["value"] for m in kept["metrics"]}
        assert row["lut"] == found["lut", "estimate"]
        assert row["dsp"] == found["dsp", "estimate"]
        assert row["latency_us"] == found["latency_us", "rtlsim"]
        assert (row["part"], row["frames"]) == (kept["part"], kept["frames"])
    (point,) = [p for p in kept_points(DETECTOR) if p["snr_db"] == 10.0]
    assert (detector["metric"]["name"], detector["metric"]["value"]) == ("ber", point["ber"])
    assert csi["metric"]["name"] == "nmse_db"
    assert f"{csi['metric']['value']:.2f} dB" in shown([csi])[-1]


def kept_points(build: str) -> list[dict[str, Any]]:
    """The RTL's curve of a kept result."""
    points: list[dict[str, Any]] = json.loads((KEPT / f"{build}.json").read_text())["curves"]["rtl"]
    return points


def test_a_report_of_the_user_is_never_mixed_with_the_kept_one(tmp_path: Path) -> None:
    metric = {"name": "lut", "stage": "estimate", "value": 7}
    none = {"name": "latency_us", "stage": "rtlsim", "value": None, "reason": "not simulated"}
    point = {"snr_db": 8.0, "ber": 0.5, "ci95": [0, 1], "errors": 3}
    body = {"passed": False, "results": {}, "frames": 9, "metrics": [metric, none],
            "config": {"compile": {"part": "xc7z020"}}, "curves": {"rtl": [point]}}  # fmt: skip
    write_json(tmp_path / DETECTOR / "report.json", body)
    (row,) = overview(tmp_path, [DETECTOR])
    assert (row["lut"], row["dsp"], row["part"], row["frames"]) == (7, None, "xc7z020", 9)
    assert row["source"] == str(tmp_path / DETECTOR / "report.json")
    assert row["reasons"]["dsp"] == "not in that report"
    assert row["reasons"]["latency_us"] == "not simulated"
    line = shown([row])[-1].split()
    assert line[:7] == [DETECTOR, "xc7z020", "5.00e-01", "at", "8", "dB", "7"]
    assert line[-1] == "FAILED"


def test_kept_figures_of_other_weights_say_so(tmp_path: Path) -> None:
    kept = json.loads((KEPT / f"{DETECTOR}.json").read_text())
    write_json(tmp_path / f"{DETECTOR}.json", {**kept, "weights_sha256": "0" * 64})
    (row,) = overview(tmp_path, [DETECTOR], tmp_path)
    assert row["other_weights"]
    assert "shipped, of other weights" in shown([row])[-1]


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"metrics": 3, "curves": []}', '{"metrics": [1]}']
)
def test_a_damaged_report_gives_no_figures(tmp_path: Path, text: str) -> None:
    folder = tmp_path / DETECTOR
    folder.mkdir()
    (folder / "report.json").write_text(text)
    (row,) = overview(tmp_path, [DETECTOR], tmp_path)
    assert row["lut"] is None
    assert set(row["reasons"]) == {*module.FIGURES, "metric"}
    assert shown([row])


def test_a_build_without_checkpoint_is_to_be_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "checkpoint_path", lambda _config: tmp_path)
    (row,) = overview(tmp_path, [CSI], tmp_path)
    assert not row["checkpoint"]
    assert shown([row])[-1].endswith("to be trained")


def test_patterns_choose_builds(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    names = [row["build"] for row in overview(tmp_path, ["conv*_r4", DETECTOR, "*enc_r4"])]
    expected = ["convcsinet_dec_r4", "convcsinet_enc_r4"]
    assert names == [*expected, "convsqucsinet_dec_r4", "convsqucsinet_enc_r4", DETECTOR]
    code, out, _ = run(capsys, "list", "fullycon_w?a?", "--json")
    assert code == 0
    builds = [row["build"] for row in json.loads(out)["builds"]]
    assert builds == ["fullycon_w2a4", "fullycon_w4a4", "fullycon_w8a8"]
    code, _, err = run(capsys, "list", "fullycon_w4a5")
    assert code == 2
    assert err.splitlines()[0] == "phyfold: config: no build matches 'fullycon_w4a5'"
    assert "did you mean 'fullycon_w4a4'?" in err
    with pytest.raises(ConfigError, match=r"no build matches 'x\*'"):
        overview(tmp_path, [DETECTOR, "x*"])
