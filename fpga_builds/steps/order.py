# SPDX-License-Identifier: Apache-2.0
"""The steps of a flow, in order: of a detector, or of one half of a CSI network."""

from __future__ import annotations

from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step


def steps_of(config: BuildConfig) -> tuple[Step, ...]:
    """The steps that fit a build."""
    return detector_steps() if config.csi is None else csi_steps()


def detector_steps() -> tuple[Step, ...]:
    """train, export, compile, hdl, simulate, baselines; the report is made of what they left."""
    from fpga_builds.steps import baselines, compile_step, export, hdl, simulate, train

    return (
        train.STEP,
        export.CHECKPOINT_STEP,
        export.MODEL_STEP,
        compile_step.MODEL_STEP,
        compile_step.CHECKPOINT_STEP,
        hdl.STEP,
        simulate.STEP,
        baselines.STEP,
    )


def csi_steps() -> tuple[Step, ...]:
    """data, train, export, compile, hdl, feedback (decoders), simulate, baselines."""
    from fpga_builds.steps import compile_step, csi_feedback, csi_model, csi_simulate, hdl

    return (
        csi_simulate.DATA_STEP,
        csi_model.TRAIN_STEP,
        csi_model.EXPORT_STEP,
        compile_step.CHECKPOINT_STEP,
        hdl.STEP,
        csi_feedback.STEP,
        csi_simulate.ENCODER_STEP,
        csi_simulate.DECODER_STEP,
        csi_model.BASELINES_STEP,
    )
