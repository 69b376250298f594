# SPDX-License-Identifier: Apache-2.0
"""Sets of samples: files, CsiNet's COST2100 format, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from models.csi.data import (
    SMALL_SET,
    SPLITS,
    CsiData,
    data_folder,
    load_data,
    read_cost2100,
    save_data,
    seems_transposed,
    to_codes,
)
from models.csi.metrics import PEAK, cosines, count, scale_to_peak
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
        x = draw(3 + seed, seed).swapaxes(2, 3).reshape(-1, 2048)  # the delay last
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


def paths_of_channels(n: int, seed: int) -> np.ndarray:
    """H [n, 32 angles, 32 delays]: four paths a sample, at any angle, within the first 6 delays."""
    random = np.random.default_rng(seed)
    h = np.zeros((n, 32, 32), complex)
    for sample in h:
        for _ in range(4):
            place = random.integers(0, 32), random.integers(0, 6)
            sample[place] += random.normal() + 1j * random.normal()
    return h


def write_csinet(folder: Path, h: np.ndarray) -> None:
    """The three files of CsiNet, all of h [n, angle, delay]."""
    parts = np.stack([h.real, h.imag], axis=1)
    scaled = 0.5 + parts / np.abs(parts).max() / 2.01
    for name in FILES.values():
        savemat(folder / name, {"HT": scaled.reshape(-1, 2048).astype(np.float32)})


def test_rho_of_cost2100_files_is_that_of_csinets_script(tmp_path: Path) -> None:
    """Its formula, on its files: the last axis is padded to 257 and transformed, 125 tones count.

    Every angle is turned by a phase of its own, which costs rho and no energy: read the other way
    round, the same files give another number.
    """
    h = paths_of_channels(20, seed=2)
    turn = np.exp(1j * np.linspace(0, 12, 32))
    write_csinet(tmp_path, h)

    x = np.fft.fft(h, 257, axis=2)[:, :, :125]
    y = np.fft.fft(h * turn[:, None], 257, axis=2)[:, :, :125]
    inner = np.abs(np.sum(np.conj(x) * y, axis=1))
    norms = np.sqrt(np.sum(np.abs(x) ** 2, axis=1) * np.sum(np.abs(y) ** 2, axis=1))
    expected = np.mean(inner / norms, axis=1)

    read = read_cost2100(tmp_path).test
    c = (read[:, 0] + 1j * read[:, 1]) * turn  # the angle is our last axis
    turned = np.stack([c.real, c.imag], axis=1)
    assert expected.mean() == pytest.approx(0.6039, abs=1e-4)
    np.testing.assert_allclose(cosines(read, turned), expected, atol=1e-4)
    swapped = (read.swapaxes(2, 3), turned.swapaxes(2, 3))
    assert abs(cosines(*swapped).mean() - expected.mean()) > 0.05


def test_cost2100_files_that_lie_the_other_way_round_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    h = paths_of_channels(20, seed=3)
    write_csinet(tmp_path, h)
    right = read_cost2100(tmp_path)
    assert not caplog.records

    write_csinet(tmp_path, h.swapaxes(1, 2))
    read_cost2100(tmp_path)
    [record] = caplog.records
    assert f"{tmp_path}: DATA_Htrainin.mat, DATA_Hvalin.mat, DATA_Htestin.mat" in record.message
    *_, advice = record.message.partition("write them again with ")
    for name in FILES.values():
        written = loadmat(tmp_path / name)["HT"]
        savemat(tmp_path / name, {"HT": eval(advice, {"HT": written})})
    caplog.clear()
    np.testing.assert_array_equal(read_cost2100(tmp_path).test, right.test)
    assert not caplog.records


def test_axes_of_channels_are_told_apart() -> None:
    """Indoor channels as they are drawn, noise, and users that all stand in one direction."""
    indoor = load_data(SMALL_SET).train
    assert not seems_transposed(indoor)
    assert seems_transposed(indoor.swapaxes(2, 3))
    assert not seems_transposed(draw(50, 0))
    corner = draw(50, 1)
    corner[:, :, :, 16:] = 0
    corner[:, :, 16:] = 0
    assert not seems_transposed(corner)


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
