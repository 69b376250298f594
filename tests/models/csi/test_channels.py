# SPDX-License-Identifier: Apache-2.0
"""Generated channels: reproducible, resumable, splits without a common drop."""

from pathlib import Path

import numpy as np
import pytest

from models.csi import channels
from models.csi.channels import BLOCK, ChannelSet, draw_block, generate, main
from models.csi.data import SMALL_SET, SPLITS, load_data, to_codes
from models.csi.metrics import PEAK
from models.errors import ConfigError


def fake_block(scenario: str, seed: int, split: str, block: int) -> np.ndarray:
    """White noise in place of Sionna's channels, seeded alike."""
    rng = np.random.default_rng((len(scenario), seed, SPLITS.index(split), block))
    return rng.standard_normal((BLOCK, 2, 32, 32)).astype(np.float32)


@pytest.fixture
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "draw_block", fake_block)
    monkeypatch.setattr(channels.ChannelSet, "info", lambda self: {"seed": self.seed})


@pytest.mark.parametrize("scenario", ["inh", "umi"])
def test_block_is_reproducible_and_scaled_to_its_peak(scenario: str) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    x = draw_block(scenario, 3, "val", 2)
    assert x.shape == (BLOCK, 2, 32, 32)
    np.testing.assert_allclose(np.abs(x).max(axis=(1, 2, 3)), PEAK, rtol=1e-6)
    assert torch.equal(before, torch.random.get_rng_state())
    np.testing.assert_array_equal(x, draw_block(scenario, 3, "val", 2))
    assert not np.array_equal(x, draw_block(scenario, 3, "test", 2))
    energy = np.mean(np.square(x), axis=(0, 1, 3))
    assert energy[0] > energy[8] > 0
    spread = float((energy * np.arange(32)).sum() / energy.sum())
    assert (0.0 < spread < 1.0) if scenario == "inh" else (0.5 < spread < 10.0)


def test_small_set_begins_with_the_blocks_it_names() -> None:
    kept = load_data(SMALL_SET).val
    drawn = draw_block("inh", 7, "val", 0)[: len(kept)]
    assert np.abs(kept - drawn).max() <= 2.0**-6  # half a step, and another machine's rounding


@pytest.mark.usefixtures("_fast")
def test_file_is_made_once_and_tells_its_progress(tmp_path: Path) -> None:
    wanted = ChannelSet(train=750, val=30, test=120)
    seen: list[tuple[int, int]] = []
    data = generate(wanted, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen == [(500, 900), (750, 900), (780, 900), (900, 900)]
    assert [len(data.split(split)) for split in SPLITS] == [750, 30, 120]
    assert [p.name for p in tmp_path.iterdir()] == [wanted.path(tmp_path).name]
    again: list[int] = []
    generate(wanted, tmp_path, lambda done, _total: again.append(done))
    assert not again


@pytest.mark.usefixtures("_fast")
def test_interrupted_run_goes_on_and_ends_with_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = ChannelSet(train=1200, val=100, test=100)
    generate(wanted, tmp_path / "whole")
    drawn: list[int] = []

    def counting(scenario: str, seed: int, split: str, block: int) -> np.ndarray:
        drawn.append(block)
        if len(drawn) == 8:
            raise KeyboardInterrupt
        return fake_block(scenario, seed, split, block)

    monkeypatch.setattr(channels, "draw_block", counting)
    with pytest.raises(KeyboardInterrupt):
        generate(wanted, tmp_path / "parts")
    part = next((tmp_path / "parts").rglob("train-00000.npy"))
    generate(wanted, tmp_path / "parts")
    assert len(drawn) == 8 + 9  # the five blocks of the first part were kept
    assert not part.exists()
    files = [wanted.path(tmp_path / name).read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]


@pytest.mark.usefixtures("_fast")
def test_damaged_part_is_drawn_again(tmp_path: Path) -> None:
    wanted = ChannelSet(train=100, val=100, test=100)
    part = wanted.path(tmp_path).with_suffix(".parts") / "train-00000.npy"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\x93NUMPY")
    data = generate(wanted, tmp_path)
    np.testing.assert_array_equal(to_codes(data.train), to_codes(fake_block("inh", 1, "train", 0)))


@pytest.mark.usefixtures("_fast")
def test_larger_set_begins_with_the_smaller_one(tmp_path: Path) -> None:
    small = generate(ChannelSet(train=150, val=1, test=1), tmp_path)
    large = generate(ChannelSet(train=400, val=1, test=1), tmp_path)
    np.testing.assert_array_equal(small.train, large.train[:150])
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [({"scenario": "rma"}, "choices are inh, umi"), ({"val": 0}, "val=0"), ({"seed": -1}, "seed")],
    ids=["scenario", "samples", "seed"],
)
def test_wrong_sets_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ChannelSet(**options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("_fast")
def test_command_line(tmp_path: Path) -> None:
    options = ["umi", "--train", "10", "--val", "5", "--test", "5", "--data", str(tmp_path)]
    assert main(options) == 0
    assert len(list(tmp_path.glob("csi_umi_*.npz"))) == 1
    with pytest.raises(SystemExit) as caught:
        main(["inh", "--train", "0", "--data", str(tmp_path)])
    assert caught.value.code == 2
