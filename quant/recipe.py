# SPDX-License-Identifier: Apache-2.0
"""The typed recipe of a trained detector: network, channel, bit widths, pruning, training.

A recipe is a TOML file (``quant/recipes/<name>.toml``). It is frozen and complete: with its seed it
reproduces a checkpoint. Unknown keys are refused; `load_recipe` turns every violation into a
`ConfigError` that names file, key, value and rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.errors import ConfigError
from models.limits import parse_toml, read_text

WeightBits = Literal[1, 2, 3, 4, 5, 6, 7, 8]
ActBits = Annotated[int, Field(ge=1, le=8)]
ScaleRule = Literal["tensor", "channel"]
RECIPE_FOLDER = Path(__file__).parent / "recipes"


class Strict(BaseModel):
    """Frozen, and a typo stops the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NamedRecipe(Strict):
    """What every kind of recipe has; checkpoints know their recipe by its name and hash."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


R = TypeVar("R", bound=NamedRecipe)


class NetworkConfig(Strict):
    """Sizes of FullyCon, see `models.fullycon`."""

    inputs: Annotated[int, Field(ge=1, description="receive dimensions N")] = 60
    width: Annotated[int, Field(ge=1, description="neurons of a hidden layer")] = 300
    depth: Annotated[int, Field(ge=1, description="hidden layers")] = 5
    bits: Annotated[int, Field(ge=1, description="BPSK symbols K")] = 30


class ChannelConfig(Strict):
    """The system that the network is trained for, see `models.mimo`."""

    kind: Literal["fixed_toeplitz", "iid_gaussian"] = "fixed_toeplitz"
    rho: Annotated[float, Field(ge=0, lt=1, description="H^T H = rho^|i-j|")] = 0.55
    seed: Annotated[int, Field(ge=0, description="seed of the channel matrix")] = 0


class LayerBits(Strict):
    """Bit widths of one layer where they differ from the default."""

    weight_bits: WeightBits | None = None
    act_bits: ActBits | None = None


class QuantConfig(Strict):
    """Bit widths. All scales are powers of two, so that every value is an exact float32.

    Weights: symmetric, narrow range (4 bits: -7..7); 2 bits is ternary, 1 bit is binary (-1, +1).
    Activations: unsigned codes after the ReLU. Input: signed codes, the ADC.
    """

    weight_bits: WeightBits = 8
    act_bits: ActBits = 8
    weight_scale: Annotated[
        ScaleRule, Field(description="one weight scale a tensor, or one a row")
    ] = "tensor"
    input_bits: Annotated[int, Field(ge=2, le=16, description="ADC resolution")] = 8
    input_scale_log2: Annotated[int, Field(ge=-16, le=4, description="log2 of the ADC step")] = -5
    layers: Annotated[
        dict[int, LayerBits], Field(description="overrides, by layer index from 0")
    ] = Field(default_factory=dict)

    def bits_of(self, layer: int) -> tuple[int, int]:
        """(weight bits, activation bits) of one layer."""
        own = self.layers.get(layer, LayerBits())
        return own.weight_bits or self.weight_bits, own.act_bits or self.act_bits


class PruningConfig(Strict):
    """Gradual magnitude pruning (Zhu, Gupta: "To prune, or not to prune", cubic schedule).

    unstructured: the smallest weights go, ranked in the whole network or in each layer.
    balanced: in every row, every ``block`` neighbouring inputs keep exactly ``nnz`` weights.
    """

    kind: Literal["unstructured", "balanced"]
    scope: Literal["global", "layer"] = "layer"
    sparsity: Annotated[
        float | None, Field(gt=0, lt=1, description="unstructured: part removed")
    ] = None
    block: Annotated[int | None, Field(ge=2, description="balanced: inputs a block")] = None
    nnz: Annotated[int | None, Field(ge=1, description="balanced: weights kept a block")] = None
    start: Annotated[float, Field(ge=0, lt=1, description="first pruning, part of training")] = 0.0
    end: Annotated[float, Field(gt=0, le=1, description="last pruning, part of training")] = 0.5
    every_steps: Annotated[int, Field(ge=1, description="steps between prunings")] = 50

    @model_validator(mode="after")
    def _complete(self) -> PruningConfig:
        if self.kind == "unstructured" and self.sparsity is None:
            raise ValueError("unstructured pruning needs sparsity")
        if self.kind == "balanced" and (self.block is None or self.nnz is None):
            raise ValueError("balanced pruning needs block and nnz")
        if self.kind == "balanced" and (self.nnz or 0) >= (self.block or 0):
            raise ValueError("nnz must be smaller than block")
        if self.start >= self.end:
            raise ValueError("start must be smaller than end")
        return self

    def fits(self, row: int) -> bool:
        """Whether a layer with ``row`` weights an output can be pruned: blocks must divide it."""
        return self.block is None or row % self.block == 0

    @property
    def target(self) -> float:
        """Part of the weights that is zero at the end."""
        if self.sparsity is not None:
            return self.sparsity
        return 1.0 - (self.nnz or 0) / (self.block or 1)


class TrainConfig(Strict):
    """Optimisation: Muon for the weight matrices, Adam for the biases (torch.optim)."""

    steps: Annotated[int, Field(ge=1)] = 10_000
    batch: Annotated[int, Field(ge=1, description="frames a step")] = 2_500
    lr: Annotated[float, Field(gt=0, description="Muon's learning rate")] = 0.02
    bias_lr: Annotated[float, Field(gt=0, description="Adam's, for biases")] = 2e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 300
    decay_from: Annotated[float, Field(ge=0, lt=1, description="part of training at full rate")] = (
        0.4
    )
    snr_db: tuple[float, float] = (8.0, 11.5)
    project_noise: Annotated[
        bool,
        Field(
            description="draw noise in the column space of H only (H^T y is sufficient); "
            "floating-point networks only: quantized weights cannot be blind to the rest"
        ),
    ] = False
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    exact_from: Annotated[
        float, Field(ge=0, le=1, description="part of training after which all is float32")
    ] = 0.9
    seed: Annotated[int, Field(ge=0)] = 1
    init: Annotated[str | None, Field(description="checkpoint to start from")] = None
    teacher: Annotated[
        str | None,
        Field(description="checkpoint whose bit probabilities replace the sent bits in the loss"),
    ] = None

    @model_validator(mode="after")
    def _ordered(self) -> TrainConfig:
        if self.snr_db[0] > self.snr_db[1]:
            raise ValueError("snr_db must be (low, high)")
        return self


class Recipe(NamedRecipe):
    """Everything that makes one checkpoint."""

    network: NetworkConfig = NetworkConfig()
    channel: ChannelConfig = ChannelConfig()
    quant: QuantConfig | None = None
    pruning: PruningConfig | None = None
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _layers_exist(self) -> Recipe:
        count = self.network.depth + 1
        for index in self.quant.layers if self.quant else ():
            if not 0 <= index < count:
                raise ValueError(f"quant.layers.{index}: the network has layers 0 to {count - 1}")
        if self.quant is not None and self.train.project_noise:
            raise ValueError("train.project_noise must be false for a quantized network")
        block = self.pruning.block if self.pruning else None
        if block and (self.network.inputs % block or self.network.width % block):
            raise ValueError(
                f"pruning.block={block} must divide the inputs {self.network.inputs} "
                f"and the width {self.network.width}"
            )
        return self

    def quick(self, steps: int = 400) -> Recipe:
        """A short version for tests and demonstrations: a few steps, small batches."""
        train = self.train.model_copy(
            update={"steps": steps, "batch": 500, "warmup_steps": min(50, steps // 4)}
        )
        return self.model_copy(update={"train": train})


def parse_recipe(data: dict[str, Any], source: str) -> Recipe:
    """A checked recipe of plain data.

    Raises:
        ConfigError: names the source, the key, the value and the rule.
    """
    return validated(Recipe, data, source, "quant/recipe.py")


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by name, or any recipe by the path of its TOML file."""
    return parse_recipe(*read_recipe(name_or_path, RECIPE_FOLDER, "recipe"))


def validated(kind: type[R], data: dict[str, Any], source: str, keys: str) -> R:
    """``data`` as a recipe of ``kind``; ``keys`` is the file that lists its keys.

    Raises:
        ConfigError: names the source, the key, the value and the rule.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "recipe"
        given = "" if isinstance(first["input"], dict) else f" = {first['input']!r}"
        raise ConfigError(
            f"{source}: {key}{given}: {first['msg']}",
            hint=f"{keys} lists every key with its range",
        ) from error


def read_recipe(name_or_path: str | Path, folder: Path, what: str) -> tuple[dict[str, Any], str]:
    """(data, path) of the TOML file of a shipped recipe in ``folder``, or of any other."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = folder / f"{name_or_path}.toml"
    try:
        return parse_toml(read_text(path)), str(path)
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise ConfigError(f"no {what} {name_or_path!r}; shipped recipes: {known}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
