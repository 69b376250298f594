# SPDX-License-Identifier: Apache-2.0
"""The kept baselines are what the code counts, and agree with theory and known figures."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from models import baselines, detectors
from models.ber import snr_at_ber
from models.errors import ConfigError, StorageError
from models.mimo import MimoSystem

PUBLISHED_ML = {8.0: 1.385e-2, 9.0: 5.97e-3, 10.0: 2.09e-3, 11.0: 5.61e-4, 12.0: 1.08e-4}


@pytest.fixture(scope="module")
def kept() -> baselines.Baselines:
    return baselines.load()


def test_kept_file_describes_the_reference_system(kept: baselines.Baselines) -> None:
    assert kept.system == MimoSystem.fixed_toeplitz().name
    assert set(kept.curves) == {"ZF", "MMSE", "ML"}
    for points in kept.curves.values():
        assert [p.snr_db for p in points] == list(baselines.DEFAULT_SNRS_DB)
        assert all(p.frames >= 1_000_000 for p in points)


def test_kept_zf_meets_its_exact_error_rate(kept: baselines.Baselines) -> None:
    for point in kept.curves["ZF"]:
        exact = detectors.zf_ber(MimoSystem.fixed_toeplitz(), point.snr_db)
        half_width = 0.5 * (point.ci95[1] - point.ci95[0])
        assert abs(point.ber - exact) < 2 * half_width


def test_kept_ml_is_precise_and_meets_the_known_curve(kept: baselines.Baselines) -> None:
    points = {p.snr_db: p for p in kept.curves["ML"]}
    low, high = points[12.0].ci95
    assert (high - low) / 2 < 0.05 * points[12.0].ber
    for snr_db, published in PUBLISHED_ML.items():
        assert points[snr_db].ber == pytest.approx(published, rel=0.05)


def test_detectors_keep_their_order(kept: baselines.Baselines) -> None:
    for zf, mmse, ml in zip(*(kept.curves[n] for n in ("ZF", "MMSE", "ML")), strict=True):
        assert ml.ci95[1] < mmse.ci95[0] < mmse.ci95[1] < zf.ci95[0]
        assert ml.ber < baselines.AUTHORS_FULLYCON_BER[ml.snr_db]


def test_authors_network_loses_a_quarter_decibel_at_most_against_ml(
    kept: baselines.Baselines,
) -> None:
    ml = snr_at_ber([p.snr_db for p in kept.curves["ML"]], [p.ber for p in kept.curves["ML"]], 1e-3)
    authors = baselines.AUTHORS_FULLYCON_BER
    loss_db = snr_at_ber(list(authors), list(authors.values()), 1e-3) - ml
    assert 0.1 < loss_db < 0.25


def test_computing_again_gives_the_same_file(tmp_path: Path) -> None:
    first = baselines.compute(frames=500, seed=3, snrs_db=[8.0])
    baselines.save(first, tmp_path / "new" / "b.json")
    again = baselines.load(tmp_path / "new" / "b.json")
    assert again == baselines.compute(frames=500, seed=3, snrs_db=[8.0])
    assert again.command == "python -m models.baselines --frames 500 --seed 3 --snr-db 8"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["b.json"]


def test_command_line_writes_the_file_and_refuses_no_frames(tmp_path: Path) -> None:
    out = tmp_path / "b.json"
    command = [sys.executable, "-m", "models.baselines", "--snr-db", "8", "--out", str(out)]
    root = Path(baselines.__file__).parents[1]
    subprocess.run([*command, "--frames", "300"], check=True, cwd=root, timeout=120)
    assert baselines.load(out).curves["ML"][0].frames == 300
    bad = subprocess.run(
        [*command, "--frames", "0"],
        capture_output=True,
        text=True,
        cwd=root,
        timeout=120,
        check=False,
    )
    assert bad.returncode == 2
    assert "stop rule frames=0: must be at least 1" in bad.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(schema=99), "schema 99: this version reads 1"),
        (lambda r: r.pop("curves"), "not a readable file of baselines: KeyError"),
        (lambda r: r["curves"]["ML"][0].pop("errors"), "BER record without errors"),
        (lambda r: r["curves"]["ML"][0].update(errors=-1), "impossible count"),
    ],
    ids=["schema", "curves", "record", "count"],
)
def test_damaged_file_is_refused(tmp_path: Path, change: object, message: str) -> None:
    record = json.loads(baselines.BASELINES_PATH.read_text(encoding="utf-8"))
    change(record)  # type: ignore[operator]
    path = tmp_path / "b.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        baselines.load(path)
    path.write_text(json.dumps(record)[:100], encoding="utf-8")
    with pytest.raises(ConfigError, match="not a readable file of baselines: JSONDecodeError"):
        baselines.load(path)


def test_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text("old", encoding="utf-8")
    (tmp_path / "b.json.part").mkdir()
    kept = dataclasses.replace(baselines.load(), seed=5)
    with pytest.raises(StorageError, match=r"b\.json: cannot be written"):
        baselines.save(kept, path)
    assert path.read_text(encoding="utf-8") == "old"
