# SPDX-License-Identifier: Apache-2.0
"""AMD boards: from a compiled build to bitstream, driver and package, by FINN's own steps.

    from fpga_builds.amd import BOARDS, AmdJob, build_bitstream

    job = AmdJob(name, compiled, accelerator, folder, work, clock_mhz, jobs, reporter)
    job = AmdJob.of(context, "Pynq-Z2")                # the same, in a step of the flow
    body = build_bitstream(job, "Pynq-Z2")

``BOARDS`` maps FINN's board names to `AmdBoard` (name, part, flow ``vivado`` or ``vitis``).
`find_board` does not mind upper and lower case; its ConfigError (exit code 2) lists the boards.

In this order:

1. The board is known. Vivado and Vitis HLS are found through XILINX_VIVADO or on PATH, for Alveo
   boards Vitis too, and so is FINN's C++ library, of which Vitis HLS makes the DMAs. What is
   missing is a ToolMissingError (exit code 3) that says how to get it. Nothing is written before.
2. FINN runs in a process of its own (`fpga_builds.amd.finn_flow`). The folded FINN graph of the
   compile step is checked to be the accelerator that was simulated, gets that accelerator's FIFOs
   (``phy_fifo``), and the HDL of each node is that layer's kernel with its parameters and memories.
   So the RTL in the bitstream is the RTL that was simulated, but for the top that joins the layers:
   here Vivado's block design does that, by FINN's Tcl.
3. FINN's steps: step_hw_codegen, step_hw_ipgen, step_create_stitched_ip, step_prepare_synthesis,
   step_synthesize_bitfile (Zynq: ZynqBuild; Alveo: VitisBuild, v++), step_make_driver,
   step_deployment_package. DMAs (IODMA_hls) and shell stay FINN's and AMD's.
4. Every call of a tool goes through `fpga_builds.eda.vivado`: its log is kept, its exit code is
   looked at (FINN's scripts overlook it), and it has a time limit. A failing or hanging call ends
   everything that was started and is a ToolError with the lines that say why.
5. Timing, resources per layer and bitstream are read from AMD's reports; golden frames and a check
   to run on the board are added to FINN's package. Only then ``folder`` is replaced.

``folder`` then holds ``bitstream.json`` (what `build_bitstream` returned), ``deploy/`` (bitfile,
driver, golden, check_golden.py, border.json), ``report/`` and ``logs/``. The body has at least
``build, board, part, tool, version, bitstream, bytes, target_mhz, fmax_mhz, timing_met,
throughput_per_s, selftest_simulated, totals, layers``; ``bitstream`` and ``deploy`` are relative to
``folder``. ``timing_met`` False is not an error here: the caller's checker decides. What could not
be read is None, with ``why_not_measured``.

``work`` has to be a folder that keeps its place (Vivado's projects name files by whole paths), such
as ``<build>/cache/amd/<board>``; it is emptied when a run starts, and stays after a failure.
"""

from __future__ import annotations

from fpga_builds.amd.boards import BOARDS, AmdBoard, find_board
from fpga_builds.amd.build import AmdJob, build_bitstream, check_build

__all__ = ["BOARDS", "AmdBoard", "AmdJob", "build_bitstream", "check_build", "find_board"]
