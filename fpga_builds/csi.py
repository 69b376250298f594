# SPDX-License-Identifier: Apache-2.0
"""What a build of a CSI network is measured with: samples, codewords, reconstructions.

    encoder   sample x -> input codes -> RTL -> codeword -> QONNX of the decoder -> y
    decoder   sample x -> RTL of the encoder -> codeword -> RTL -> y

NMSE and rho compare x, as it was drawn, with y: every quantizer is in between, the host's too.
Frames of a CSI build are samples of the test split, in order; a chunk is a run of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fpga_builds.config import BuildConfig, CsiConfig
from fpga_builds.progress import Advance
from fpga_builds.stimulus import Chunk, FloatArray, dequantize
from hls.ir import Border, IntArray
from models.csi.data import DAMAGED
from models.errors import CheckError, ConfigError
from models.limits import load_arrays

Frames = Callable[[Chunk], tuple[FloatArray, FloatArray]]
Score = Callable[[Chunk, Any, IntArray], dict[str, Any] | None]
OTHER = {"encoder": "decoder", "decoder": "encoder"}


def csi_of(config: BuildConfig) -> CsiConfig:
    """The [csi] section of a build that has one."""
    if config.csi is None:
        raise ConfigError(f"{config.name}: has no [csi] section")
    return config.csi


def draw_samples(config: BuildConfig, progress: Advance) -> tuple[FloatArray, dict[str, Any]]:
    """(the first ``simulate.frames`` test samples [n, 2, 32, 32] float32, what made them).

    Raises:
        ConfigError: no such data, damaged files, or fewer samples than asked for.
    """
    from models.csi.channels import ChannelSet, generate
    from models.csi.data import SMALL_SET, data_folder, load_data, read_cost2100

    csi, wanted = csi_of(config), config.simulate.frames
    if "/" in csi.data:
        data = read_cost2100(Path(csi.data))
    elif csi.data == "small":
        data = load_data(SMALL_SET)
    else:  # of a larger set these are the first samples
        drawn = ChannelSet(csi.data, train=1, val=1, test=wanted, seed=csi.seed)
        data = generate(drawn, data_folder(), progress)
    if len(data.test) < wanted:
        raise ConfigError(
            f"{config.name}: simulate.frames = {wanted}, but the test split of {csi.data} has "
            f"{len(data.test)} samples",
            hint=f"ask for at most {len(data.test)} with --samples",
        )
    return np.asarray(data.test[:wanted], dtype=np.float32), dict(data.info)


def load_samples(path: Path) -> FloatArray:
    """Samples [n, 2, 32, 32] of the data step."""
    samples: FloatArray = load_array(path, "samples")
    return samples


def load_codewords(path: Path) -> IntArray:
    """Codewords [n, values] of an encoder's RTL, as its output border has them."""
    codes: IntArray = load_array(path, "codewords").astype(np.int64)
    return codes


def load_array(path: Path, name: str) -> npt.NDArray[Any]:
    """An array of a step's .npz file.

    Raises:
        CheckError: it is not there, or damaged.
    """
    try:
        array = load_arrays(path, [name])[name]
    except DAMAGED as error:
        raise CheckError(
            f"{path}: not readable ({error})", hint="run `phyfold run` again"
        ) from error
    return array


def place_of(config: BuildConfig, chunk: Chunk) -> slice:
    """The samples of a chunk."""
    first = chunk.index * config.simulate.chunk_frames
    return slice(first, first + chunk.frames)


def frame_source(config: BuildConfig, samples: FloatArray, values: FloatArray) -> Frames:
    """Gives (samples of a chunk, the host's values that go into the accelerator).

    Args:
        config: of the build.
        samples: all of them, [n, 2, 32, 32].
        values: for an encoder the same; for a decoder the codewords [n, channels, height, width].
    """
    if len(values) != len(samples):
        raise CheckError(
            f"{config.name}: {len(values)} codewords for {len(samples)} samples",
            hint=f"run `phyfold run {csi_of(config).other}` with as many samples",
        )

    def frames(chunk: Chunk) -> tuple[FloatArray, FloatArray]:
        place = place_of(config, chunk)
        return samples[place], values[place]

    return frames


def reconstruct(
    border: Border, outputs: IntArray, decode: Callable[[FloatArray], FloatArray] | None
) -> FloatArray:
    """Images [n, 2, 32, 32] of an accelerator's outputs [n, elements].

    Args:
        border: its output border.
        outputs: of the RTL.
        decode: makes images of codewords, for an encoder; None for a decoder.
    """
    values = dequantize(border, outputs)
    images = values if decode is None else decode(values)
    return images.reshape(len(outputs), 2, *images.shape[-2:])


def scorer(border: Border, decode: Callable[[FloatArray], FloatArray] | None) -> Score:
    """Counts NMSE and rho of the outputs of an accelerator; arguments as `reconstruct`."""

    def score(_chunk: Chunk, truth: Any, outputs: IntArray) -> dict[str, Any]:
        from models.csi.metrics import count

        return dict(count(truth, reconstruct(border, outputs, decode)).to_json())

    return score


def nmse_text(point: Mapping[str, Any]) -> str:
    """NMSE and rho for people, with the interval unless it was one sample."""
    ci95 = point["ci95"]
    interval = "one sample" if ci95 is None else f"95 %: {ci95[0]:.2f} to {ci95[1]:.2f}"
    return f"{point['nmse_db']:.2f} dB ({interval}), rho {point['rho']:.4f}"


def feedback_bits(codeword: Border) -> int:
    """Bits of a codeword at the border that gives or takes it."""
    return codeword.fmt.bits * int(np.prod(codeword.shape))
