# SPDX-License-Identifier: Apache-2.0
"""The typed recipe of a trained CSI network: network, data, bit widths, pruning, training.

A recipe is a TOML file (``quant/csi/recipes/<name>.toml``), frozen and complete, as the detector's
is (`quant.recipe`). The folder of CsiNet's COST2100 files is no part of it: it is given when a run
starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from models.csi.spec import NetworkSpec, network_spec
from models.errors import ConfigError
from quant.recipe import (
    NamedRecipe,
    PruningConfig,
    ScaleRule,
    Strict,
    read_recipe,
    validated,
)

RECIPE_FOLDER = Path(__file__).parent / "recipes"
Bits = Annotated[int, Field(ge=2, le=8)]


class CsiNetworkConfig(Strict):
    """Which network: ConvCsiNet ("conv"), ConvSquCsiNet ("squ") or CsiNet as published."""

    kind: Literal["conv", "squ", "csinet"] = "squ"
    ratio: Annotated[Literal[4, 8, 16, 32, 64], Field(description="compression 1/ratio")] = 16


class CsiDataConfig(Strict):
    """The samples: drawn by `models.csi.channels`, COST2100 files, or the tests' small set."""

    kind: Literal["inh", "umi", "cost2100_in", "cost2100_out", "small"] = "inh"
    train: Annotated[int, Field(ge=1, description="samples; inh and umi only")] = 10_000
    val: Annotated[int, Field(ge=1)] = 1_000
    test: Annotated[int, Field(ge=1)] = 2_000
    seed: Annotated[int, Field(ge=0, description="of the channels")] = 1


class CsiQuantConfig(Strict):
    """Bit widths. All scales are constant powers of two; see `quant.csi.network`.

    Weights are signed with a narrow range, activations unsigned behind a ReLU and signed where a
    linear layer or a residual block ends. The codeword is signed.
    """

    weight_bits: Bits = 8
    act_bits: Bits = 8
    edge_bits: Annotated[
        Bits | None,
        Field(description="weights and activations of the first and last layer of each half"),
    ] = None
    code_bits: Annotated[Bits, Field(description="bits of a codeword value, B")] = 8
    input_bits: Bits = 8
    input_scale_log2: Annotated[int, Field(ge=-8, le=4, description="log2 of the input step")] = -2
    weight_scale: Annotated[
        ScaleRule, Field(description="one weight scale a tensor, or one an output channel")
    ] = "channel"


class CsiTrainConfig(Strict):
    """Optimisation: Muon or AdamW for the kernels, AdamW for the rest; warm-up, then cosine."""

    steps: Annotated[int, Field(ge=1)] = 9_000
    batch: Annotated[int, Field(ge=2, description="samples a step")] = 100
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: Annotated[float, Field(gt=0, description="of the kernels")] = 0.02
    other_lr: Annotated[float, Field(gt=0, description="AdamW's, of norms, biases")] = 3e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    augment: Annotated[
        bool,
        Field(description="turn each sample's phase at random and mirror the array"),
    ] = True
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    exact_from: Annotated[
        float, Field(ge=0, le=1, description="part of training after which all is float32")
    ] = 0.9
    seed: Annotated[int, Field(ge=0)] = 1
    init: Annotated[str | None, Field(description="checkpoint to start from")] = None


class CsiRecipe(NamedRecipe):
    """Everything that makes one checkpoint."""

    network: CsiNetworkConfig = CsiNetworkConfig()
    data: CsiDataConfig = CsiDataConfig()
    quant: CsiQuantConfig | None = None
    pruning: PruningConfig | None = None
    train: CsiTrainConfig = CsiTrainConfig()

    @model_validator(mode="after")
    def _fits(self) -> CsiRecipe:
        if self.network.kind == "csinet" and (self.quant or self.pruning):
            raise ValueError("csinet is a floating-point reference: no quant, no pruning section")
        return self

    @property
    def spec(self) -> NetworkSpec:
        """The layers of ConvCsiNet or ConvSquCsiNet."""
        if self.network.kind == "csinet":
            raise ConfigError(f"{self.name}: csinet has dense layers and no such description")
        return network_spec(self.network.kind, self.network.ratio)

    @property
    def feedback_bits(self) -> int | None:
        """Bits of one codeword; None for a floating-point network."""
        if self.quant is None:
            return None
        return 2048 // self.network.ratio * self.quant.code_bits

    def quick(self, steps: int = 20) -> CsiRecipe:
        """A short version for tests and demonstrations: the small set, a few steps."""
        train = self.train.model_copy(
            update={"steps": steps, "batch": 16, "warmup_steps": min(5, steps // 4)}
        )
        return self.model_copy(update={"train": train, "data": CsiDataConfig(kind="small")})


def parse_csi_recipe(data: dict[str, Any], source: str) -> CsiRecipe:
    """A checked recipe of plain data.

    Raises:
        ConfigError: names the source, the key, the value and the rule.
    """
    return validated(CsiRecipe, data, source, "quant/csi/recipe.py")


def load_csi_recipe(name_or_path: str | Path) -> CsiRecipe:
    """A shipped recipe by name, or any recipe by the path of its TOML file."""
    return parse_csi_recipe(*read_recipe(name_or_path, RECIPE_FOLDER, "CSI recipe"))
