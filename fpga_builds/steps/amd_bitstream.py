# SPDX-License-Identifier: Apache-2.0
"""Step bitstream for AMD's boards: FINN and Vivado make it, where they are installed."""

from __future__ import annotations

from fpga_builds.flow import Step, StepContext, StepOutput

NUMBER = 80


def step_for(board: str) -> Step:
    """The step that makes the bitstream for ``board``, a name of `fpga_builds.amd.BOARDS`."""
    from fpga_builds.amd import AmdJob, build_bitstream, check_build

    def run(context: StepContext) -> StepOutput:
        body = build_bitstream(AmdJob.of(context, board), board)
        return StepOutput({"bitstream": f"amd/{body['bitstream']}", "amd": "amd"}, (), body)

    return Step(
        name=f"bitstream-{board.lower()}",
        number=NUMBER,
        title=f"makes the bitstream for {board} with FINN and Vivado",
        reads=("compiled", "accelerator", "rtl"),
        writes=("bitstream", "amd"),
        settings=lambda config: [board, config.compile.clock_mhz],
        run=run,
        packages=("finn-plus",),
        needs=lambda config, out: check_build(board, config.compile.clock_mhz, out / "cache"),
    )
