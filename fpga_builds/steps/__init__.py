# SPDX-License-Identifier: Apache-2.0
"""The steps of the detector's flow, in order. `detector_steps` gives them."""

from __future__ import annotations

from fpga_builds.flow import Step


def detector_steps() -> tuple[Step, ...]:
    """train, export, compile, hdl, simulate, baselines; the report is made of what they left."""
    from fpga_builds.steps import baselines, compile_step, export, hdl, simulate, train

    return (
        train.STEP,
        export.CHECKPOINT_STEP,
        export.MODEL_STEP,
        compile_step.STEP,
        hdl.STEP,
        simulate.STEP,
        baselines.STEP,
    )
