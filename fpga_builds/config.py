# SPDX-License-Identifier: Apache-2.0
"""The build configuration: one frozen, validated model, read from ``build.toml``.

Unknown keys are refused; `load_build` turns every violation into a `ConfigError` that names file,
key, value, rule and, for a misspelt key, the nearest one that exists.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from fpga_builds.config_rules import problems
from models.errors import ConfigError
from models.limits import parse_toml, read_text
from models.received import control_character

BUILDS_FOLDER = Path(__file__).parent
BUILD_FILE = "build.toml"
MAX_TEXT = 4096
"""Characters of a path that Linux takes."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Strict(BaseModel):
    """Frozen, and a typo stops the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _readable(cls, value: Any, info: ValidationInfo) -> Any:
        """Texts are names and paths: of one line, without what no file can be called."""
        allowed = "\n\t" if info.field_name == "description" else ""
        if isinstance(value, str):
            if (odd := control_character(value, allowed)) is not None:
                raise ValueError(f"must not have the control character {odd!r} in it")
            if len(value) > MAX_TEXT:
                raise ValueError(f"has {len(value):,} characters, may have {MAX_TEXT:,}")
        return value


class NetworkConfig(Strict):
    """What is built: a checkpoint of ours, or a QONNX file of anyone's."""

    checkpoint: Annotated[
        str | None,
        Field(min_length=1, description="shipped checkpoint by name, or a checkpoint folder"),
    ] = None
    model: Annotated[
        str | None, Field(min_length=1, description="QONNX file, instead of a checkpoint")
    ] = None
    reference: Annotated[
        str | None,
        Field(min_length=1, description="floating-point checkpoint that the report compares with"),
    ] = None

    @model_validator(mode="after")
    def _one_source(self) -> NetworkConfig:
        if (self.checkpoint is None) == (self.model is None):
            raise ValueError("give either checkpoint or model, not both and not neither")
        return self


class ChannelConfig(Strict):
    """Real-valued y = Hx + w, BPSK; see `models.mimo`."""

    kind: Literal["fixed_toeplitz", "iid_gaussian"] = "fixed_toeplitz"
    symbols: Annotated[int, Field(ge=1, le=512, description="K, bits per frame")] = 30
    antennas: Annotated[int, Field(ge=1, le=1024, description="N, receive dimensions")] = 60
    rho: Annotated[float, Field(ge=0, lt=1, description="H^T H = rho^|i-j|")] = 0.55
    seed: Annotated[int, Field(ge=0, description="seed of the channel matrix")] = 0

    @model_validator(mode="after")
    def _tall(self) -> ChannelConfig:
        if self.antennas < self.symbols:
            raise ValueError(f"antennas={self.antennas} must be at least symbols={self.symbols}")
        return self


class CsiConfig(Strict):
    """One half of a CSI-feedback network, and the channels that it is measured on."""

    half: Literal["encoder", "decoder"]
    other: Annotated[
        str, Field(min_length=1, description="build of the other half, a name or a path")
    ]
    data: Annotated[
        str,
        Field(
            min_length=1,
            description="inh, umi, small (see models.csi), or a folder of COST2100 files",
        ),
    ] = "inh"
    seed: Annotated[int, Field(ge=0, description="seed of generated channels")] = 1


class CompileConfig(Strict):
    """How the network becomes hardware layers."""

    output: Annotated[
        Literal["hard_pairs", "sign", "soft", "codes"],
        Field(
            description="decide pairs of one-hot outputs or signs, or give the integers: "
            "accumulators (soft) or the output quantizer's codes"
        ),
    ] = "hard_pairs"
    thresholds: Literal["auto", "memory", "requant"] = "auto"
    sparse: Annotated[
        Literal["auto", "off"], Field(description="use balanced zeros in hardware")
    ] = "auto"
    multipliers: Annotated[
        Literal["auto", "lut", "dsp"],
        Field(description="multipliers in LUTs, in DSP blocks, or as fits their bits and the part"),
    ] = "auto"
    clock_mhz: Annotated[float, Field(gt=0, le=1000, description="target clock [MHz]")] = 100.0
    part: Annotated[str, Field(min_length=1, description="device to estimate for")] = "LFE5U-85F"


class FoldingConfig(Strict):
    """How parallel each layer is. One target, or a hand-written folding file.

    Without any a frame takes what `hls.compile_options` says: an image more than a vector.
    """

    target: Literal["cycles", "fps", "latency", "budget", "file"] = "cycles"
    cycles: Annotated[
        int | None, Field(ge=1, description="initiation interval [cycles]; None: the default")
    ] = None
    fps: Annotated[float | None, Field(gt=0, description="frames per second")] = None
    latency_us: Annotated[float | None, Field(gt=0, description="first in to last out [us]")] = None
    budget: Annotated[
        float | None, Field(gt=0, le=1, description="part of the device's LUT, DSP and BRAM")
    ] = None
    file: Annotated[
        str | None, Field(min_length=1, description="folding file, relative to build.toml")
    ] = None
    fifos: Annotated[
        Literal["simulate", "default"],
        Field(description="find the smallest FIFO depths by simulation, or take the compiler's"),
    ] = "simulate"

    @model_validator(mode="after")
    def _target_given(self) -> FoldingConfig:
        key = {"latency": "latency_us"}.get(self.target, self.target)
        given = [
            name
            for name in ("cycles", "fps", "latency_us", "budget", "file")
            if getattr(self, name) is not None
        ]
        if given != [key] and (given or key != "cycles"):
            found = ", ".join(given) or "none"
            raise ValueError(f"target={self.target!r} needs the key {key} and no other ({found})")
        return self


class SimulateConfig(Strict):
    """What the RTL is measured with."""

    snr_db: Annotated[
        tuple[Annotated[float, Field(ge=-30, le=60)], ...],
        Field(min_length=1, description="SNR points [dB]"),
    ] = (8.0, 9.0, 10.0, 11.0, 12.0)
    frames: Annotated[int, Field(ge=1, le=100_000_000, description="frames per SNR")] = 20_000
    seed: Annotated[int, Field(ge=0, lt=2**63, description="seed of frames")] = 1
    chunk_frames: Annotated[
        int, Field(ge=1, le=100_000, description="frames from one seed; what a kill may cost")
    ] = 10_000
    gap_probability: Annotated[float, Field(ge=0, lt=1, description="gaps before input beats")] = 0
    stall_probability: Annotated[float, Field(ge=0, lt=1, description="output back-pressure")] = 0
    disturb_seed: Annotated[int, Field(ge=0, description="seed of gaps and stalls")] = 1
    baselines: Annotated[
        tuple[Literal["float", "zf", "mmse", "ml"], ...],
        Field(description="detectors to run on the same frames"),
    ] = ("float", "zf", "mmse", "ml")

    @model_validator(mode="after")
    def _distinct(self) -> SimulateConfig:
        if len(set(self.snr_db)) != len(self.snr_db):
            raise ValueError(f"snr_db={list(self.snr_db)}: each SNR may be named once")
        return self


class ChecksConfig(Strict):
    """What makes the flow fail. A metric that is missing fails its check too."""

    max_mismatches: Annotated[int, Field(ge=0, description="frames that differ from QONNX")] = 0
    ii_tolerance: Annotated[
        float | None, Field(ge=0, le=1, description="measured II over the ideal, relative")
    ] = 0.02
    latency_tolerance: Annotated[
        float | None, Field(ge=0, le=1, description="measured latency against the model's")
    ] = 0.10
    max_nmse_loss_db: Annotated[
        float | None, Field(gt=0, description="NMSE lost against the reference, same samples [dB]")
    ] = None
    max_loss_db: Annotated[
        float | None, Field(gt=0, description="SNR loss against the reference at loss_at_ber [dB]")
    ] = None
    loss_at_ber: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3


class BitstreamConfig(Strict):
    """A bitstream for an open board."""

    clock_mhz: Annotated[
        float | None, Field(gt=0, le=400, description="clock [MHz]; the target clock if not given")
    ] = None
    seeds: Annotated[int, Field(ge=1, le=64, description="placements tried for the clock")] = 3
    golden_frames: Annotated[int, Field(ge=1, le=1024, description="frames of the self-test")] = 32
    baud: Annotated[int, Field(ge=9600, le=3_000_000, description="serial line [bit/s]")] = (
        1_000_000
    )


class BuildConfig(Strict):
    """Everything that makes one accelerator."""

    name: Name
    description: str = ""
    network: NetworkConfig
    channel: ChannelConfig | None = None
    csi: CsiConfig | None = None
    compile: CompileConfig = CompileConfig()
    folding: FoldingConfig = FoldingConfig()
    simulate: SimulateConfig = SimulateConfig()
    bitstream: BitstreamConfig = BitstreamConfig()
    checks: ChecksConfig = ChecksConfig()

    @model_validator(mode="after")
    def _one_kind(self) -> BuildConfig:
        if self.csi is not None and self.channel is not None:
            raise ValueError("[channel] is a detector's and [csi] a CSI network's: give one")
        if self.csi is not None and self.network.checkpoint is None:
            raise ValueError("[csi] needs network.checkpoint: it holds both halves")
        wanted = ("codes",) if self.csi and self.csi.half == "encoder" else ("soft", "codes")
        if self.csi is not None and self.compile.output not in wanted:
            raise ValueError(
                f"compile.output = {self.compile.output!r}: the {self.csi.half} of a CSI network "
                f"needs {' or '.join(map(repr, wanted))}"
            )
        if found := problems(self):
            raise ValueError("; ".join(found))
        return self

    def updated(self, section: str, **changes: Any) -> BuildConfig:
        """A copy with keys of one section replaced, checked anew; None means leave as it is.

        Raises:
            ConfigError: a value breaks its rule.
        """
        kept = {key: value for key, value in changes.items() if value is not None}
        body = self.model_dump()
        body[section] = {**(body[section] or {}), **kept}
        return parse_build(body, "command line")

    def to_toml(self) -> str:
        """The complete configuration as TOML; `parse_build` of it gives an equal one."""
        body = self.model_dump(mode="json", exclude_none=True)
        head = {key: value for key, value in body.items() if not isinstance(value, dict)}
        lines = [f"{key} = {_toml(value)}" for key, value in head.items()]
        for section, values in body.items():
            if isinstance(values, dict):
                lines += ["", f"[{section}]"]
                lines += [f"{key} = {_toml(value)}" for key, value in values.items()]
        return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def parse_build(data: dict[str, Any], source: str) -> BuildConfig:
    """A checked configuration of plain data.

    Raises:
        ConfigError: names the source, the key, the value and the rule.
    """
    try:
        return BuildConfig.model_validate(data)
    except ValidationError as error:
        problems = [_problem(item, data) for item in error.errors()]
        hints = [hint for _, hint in problems if hint]
        raise ConfigError(
            f"{source}: " + "; ".join(text for text, _ in problems),
            hint=hints[0] if hints else "docs/flow.md lists every key",
        ) from error


def _problem(item: Any, data: dict[str, Any]) -> tuple[str, str]:
    """(message, hint) of one of pydantic's errors."""
    location = [str(part) for part in item["loc"]]
    key = ".".join(location) or "build"
    if item["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(location[-1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"keys here: {', '.join(known)}"
        return f"unknown key {key} = {item['input']!r}: it is not a key of this section", hint
    if item["type"] == "missing":
        return f"key {key} is missing: it is required", ""
    rule = str(item["msg"]).removeprefix("Value error, ")
    if not location:
        return rule, ""
    given = repr(item["input"])
    given = given if len(given) <= 200 else f"{given[:150]}...{given[-20:]}"
    value = "" if isinstance(item["input"], dict) else f" = {given}"
    return f"{key}{value}: {rule}", ""


def _known_keys(path: list[str]) -> list[str]:
    model: type[BaseModel] = BuildConfig
    for part in path:
        annotation: Any = (
            model.model_fields[part].annotation if part in model.model_fields else None
        )
        choices = [annotation, *getattr(annotation, "__args__", ())]
        inner = [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]
        if not inner:
            return []
        model = inner[0]
    return sorted(model.model_fields)


def available_builds() -> list[str]:
    """Names of the builds in this package."""
    return sorted(path.parent.name for path in BUILDS_FOLDER.glob(f"*/{BUILD_FILE}"))


def find_build(build: str) -> Path:
    """The file that ``build`` means: a name, a build.toml, a folder with one, or a QONNX file.

    Raises:
        ConfigError: there is no such build; names the nearest.
    """
    path = Path(build)
    if path.suffix in (".toml", ".onnx"):
        if not path.is_file():
            raise ConfigError(f"{build}: no such file")
        return path
    for folder in (BUILDS_FOLDER / build, path):
        if (folder / BUILD_FILE).is_file():
            return folder / BUILD_FILE
    known = available_builds()
    near = difflib.get_close_matches(build, known, n=1)
    raise ConfigError(
        f"no build {build!r}; it is neither a name, nor a folder with {BUILD_FILE}, nor a file",
        hint=f"did you mean {near[0]!r}?" if near else f"builds: {', '.join(known)}",
    )


def load_build(build: str) -> BuildConfig:
    """The configuration that ``build`` names, see `find_build`.

    A QONNX file stands for a build of its own, with all settings at their defaults and no channel:
    the model's outputs stay the soft integers that they are.

    Raises:
        ConfigError: not found, not TOML, or a key or value is wrong.
    """
    path = find_build(build)
    if path.suffix == ".onnx":
        name = re.sub(r"[^a-z0-9]", "_", path.stem.lower())
        network = {"model": str(path.resolve()), "reference": None}
        body = {"name": name if name[:1].isalpha() else f"m_{name}", "network": network}
        return parse_build({**body, "compile": {"output": "soft"}}, str(path))
    try:
        data = parse_toml(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    config = parse_build(data, str(path))
    return _resolved_paths(config, path.parent)


def _resolved_paths(config: BuildConfig, folder: Path) -> BuildConfig:
    """Paths of the file made absolute: they are relative to its folder."""
    changes: dict[str, dict[str, Any]] = {"network": {}, "folding": {}, "csi": {}}
    places = (
        *(("network", "model"), ("network", "checkpoint"), ("folding", "file")),
        *(("csi", "data"), ("csi", "other")),
    )
    for section, key in places:
        value = getattr(getattr(config, section), key, None)
        if value is not None and (key in ("model", "file") or "/" in value):
            changes[section][key] = str((folder / value).resolve())
    for section, values in changes.items():
        if values:
            config = config.updated(section, **values)
    return config
