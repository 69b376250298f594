# SPDX-License-Identifier: Apache-2.0
"""Sets of samples: files, CsiNet's COST2100 format, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from models.csi.data import (
    SMALL_SET,
    SPLITS,
    CsiData,
    data_folder,
    load_data,
    read_cost2100,
    save_data,
    to_codes,
)
from models.csi.metrics import PEAK, count, scale_to_peak
from models.errors import ConfigError

FILES = {split: f"DATA_H{split}in.mat" for split in SPLITS}


def draw(n: int, seed: int) -> np.ndarray:
    return scale_to_peak(np.random.default_rng(seed).standard_normal((n, 2, 32, 32)))


@pytest.fixture
def data() -> CsiData:
    return CsiData("noise", draw(4, 0), draw(2, 1), draw(3, 2), {"seed": 5})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """COST2100 files of a few samples, values in [0, 1]."""
    for seed, (split, name) in enumerate(FILES.items()):
        x = draw(3 + seed, seed).reshape(-1, 2048)
        savemat(tmp_path / name, {"HT": (0.5 + 0.01 * x).astype(np.float32)})
        assert split in name
    return tmp_path


def test_file_round_trip_is_exact_up_to_half_a_step(tmp_path: Path, data: CsiData) -> None:
    path = save_data(tmp_path / "set.npz", data)
    again = load_data(path)
    assert (again.name, again.info) == (data.name, data.info)
    for split in SPLITS:
        assert np.abs(again.split(split) - data.split(split)).max() <= 2.0**-10
        assert count(data.split(split), again.split(split)).nmse_db < -64
    assert save_data(tmp_path / "twice.npz", again).read_bytes() == path.read_bytes()


def test_samples_cannot_be_changed(data: CsiData) -> None:
    with pytest.raises(ValueError, match="read-only"):
        data.train[0] = 0


def test_codes_clip_and_round_half_to_even() -> None:
    codes = to_codes([0.5, 1.5, 2.5, -0.5, 1e9, -1e9], 0)
    np.testing.assert_array_equal(codes, [0, 2, 2, 0, 32767, -32768])


@pytest.mark.parametrize("cut", [0, 100, 4000])
def test_truncated_set(tmp_path: Path, data: CsiData, cut: int) -> None:
    path = save_data(tmp_path / "set.npz", data)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ConfigError, match="not a readable set of channels") as caught:
        load_data(path)
    assert "make it again" in caught.value.hint


def test_missing_or_foreign_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such set of channels"):
        load_data(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ConfigError, match="not a readable set"):
        load_data(tmp_path / "other.npz")


def test_unknown_split(data: CsiData) -> None:
    with pytest.raises(ConfigError, match="choices are train, val, test"):
        data.split("dev")


def test_folder_of_sets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PHYFOLD_DATA", raising=False)
    assert data_folder() == Path("build/data")
    monkeypatch.setenv("PHYFOLD_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    assert data_folder(Path("x")) == Path("x")


def test_cost2100_files_are_read_centred(folder: Path) -> None:
    data = read_cost2100(folder)
    assert [len(data.split(split)) for split in SPLITS] == [3, 4, 5]
    np.testing.assert_allclose(data.train, draw(3, 0), atol=1e-3)
    assert abs(float(data.train.mean())) < 0.05


def test_cost2100_folder_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        read_cost2100(tmp_path / "nowhere")


def test_cost2100_file_is_missing(folder: Path) -> None:
    (folder / FILES["val"]).unlink()
    with pytest.raises(ConfigError, match=r"DATA_Hvalin.mat: no such file; the folder has DATA_Ht"):
        read_cost2100(folder)
    with pytest.raises(ConfigError, match=r"DATA_Htrainout.mat: no such file"):
        read_cost2100(folder, "out")
    with pytest.raises(ConfigError, match="choices are in, out"):
        read_cost2100(folder, "indoor")


@pytest.mark.parametrize("keep", [0, 60, 200, 5000])
def test_cost2100_file_is_truncated(folder: Path, keep: int) -> None:
    path = folder / FILES["test"]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"DATA_Htestin.mat: .*truncated or damaged"):
        read_cost2100(folder)


def test_cost2100_file_has_another_key(folder: Path) -> None:
    savemat(folder / FILES["train"], {"H": np.zeros((2, 2048)), "other": 1})
    with pytest.raises(ConfigError, match="no key 'HT'; the file has: H, other"):
        read_cost2100(folder)


@pytest.mark.parametrize("shape", [(3, 1024), (2048, 1), (2, 32, 32)], ids=str)
def test_cost2100_file_has_another_shape(folder: Path, shape: tuple[int, ...]) -> None:
    savemat(folder / FILES["train"], {"HT": np.ones(shape)})
    with pytest.raises(ConfigError, match=r"HT of shape .*: must be \[n, 2048\]"):
        read_cost2100(folder)


def test_small_set_is_what_the_tests_rely_on() -> None:
    data = load_data(SMALL_SET)
    assert SMALL_SET.stat().st_size < 1_000_000
    assert [len(data.split(split)) for split in SPLITS] == [300, 50, 150]
    assert np.all(np.abs(data.train).max(axis=(1, 2, 3)) == PEAK)
    early = np.mean(np.square(data.train[:, :, :8])) / np.mean(np.square(data.train)) / 4
    assert early > 0.95  # an indoor channel: nearly all energy in the first 8 delays
    flat = np.concatenate([data.split(split).reshape(-1, 2048) for split in SPLITS])
    assert len(np.unique(flat, axis=0)) == 500  # no sample in two splits
