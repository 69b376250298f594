# SPDX-License-Identifier: Apache-2.0
"""What can be asked of the compiler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hls.devices import DEFAULT_DEVICE

DEFAULT_CYCLES = 1500
"""Per frame of a network of vectors."""
DEFAULT_IMAGE_CYCLES = 50_000
"""Per frame of a network of images, or of sequences of vectors: 0.5 ms at 100 MHz."""


class FoldingTarget(BaseModel):
    """One way to say how parallel the accelerator is to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cycles: Annotated[int | None, Field(ge=1, description="cycles per frame, at most")] = None
    frames_per_s: Annotated[float | None, Field(gt=0, description="frames per second")] = None
    latency_us: Annotated[float | None, Field(gt=0, description="latency of a frame [us]")] = None
    device_fraction: Annotated[
        float | None, Field(gt=0, le=1, description="as fast as fits this part of the device")
    ] = None
    file: Annotated[Path | None, Field(description="hand-written folding file")] = None

    @model_validator(mode="after")
    def _one(self) -> FoldingTarget:
        given = [k for k in type(self).model_fields if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"folding: {' and '.join(given)} are given; choose one")
        return self

    def frame_cycles(self, clock_mhz: float, *, images: bool = False) -> int | None:
        """Cycles per frame that the target allows; None if it is another kind of target.

        images: frames are images or sequences, which take more cycles where no target is given.
        """
        if self.frames_per_s is not None:
            return max(1, int(clock_mhz * 1e6 / self.frames_per_s))
        if self.latency_us is not None or self.device_fraction is not None:
            return None
        if self.cycles is not None:
            return self.cycles
        return DEFAULT_IMAGE_CYCLES if images else DEFAULT_CYCLES

    def latency_cycles(self, clock_mhz: float) -> int | None:
        """Cycles of latency that the target allows; None if it is another kind of target."""
        return None if self.latency_us is None else int(self.latency_us * clock_mhz)


class CompileOptions(BaseModel):
    """Everything that steers `hls.compiler.compile_model`."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="of the top module")] = (
        "accelerator"
    )
    output: Annotated[
        Literal["hard_pairs", "sign", "soft", "codes"], Field(description="see hls.passes.decision")
    ] = "soft"
    folding: FoldingTarget = FoldingTarget()
    clock_mhz: Annotated[float, Field(gt=0, description="clock [MHz]")] = 100.0
    part: Annotated[str, Field(description="device that is estimated for")] = DEFAULT_DEVICE
    thresholds: Annotated[
        Literal["auto", "memory", "requant"],
        Field(description="activations as thresholds in memory or, where exact, as arithmetic"),
    ] = "auto"
    sparse: Annotated[
        Literal["auto", "off"], Field(description="use block-balanced sparsity of weights")
    ] = "auto"
    multipliers: Annotated[
        Literal["auto", "lut", "dsp"], Field(description="see hls.multipliers")
    ] = "auto"
    sparse_block: Annotated[int | None, Field(ge=2, description="columns of a block")] = None
    sparse_nnz: Annotated[int | None, Field(ge=1, description="non-zeros of a block")] = None
    golden_inputs: Annotated[Any, Field(description="float frames [n, in] to check with")] = None

    @model_validator(mode="after")
    def _pairs(self) -> CompileOptions:
        if (self.sparse_block is None) != (self.sparse_nnz is None):
            raise ValueError("sparse_block and sparse_nnz belong together: give both or neither")
        return self
