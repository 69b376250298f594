# SPDX-License-Identifier: Apache-2.0
"""Builds a design with cocotb's runner and runs ``cocotb_driver`` in it; one JSON argument."""

from __future__ import annotations

import json
import sys

from cocotb_tools.runner import get_runner


def main() -> None:
    """Build and run."""
    job = json.loads(sys.argv[1])
    runner = get_runner("verilator")
    runner.build(
        sources=job["sources"],
        hdl_toplevel=job["top"],
        build_dir=job["build"],
        build_args=["-Wno-fatal", "-O3"],
        timescale=("1ns", "1ps"),
    )
    runner.test(
        test_module="cocotb_driver",
        hdl_toplevel=job["top"],
        build_dir=job["build"],
        test_dir=job["data"],
    )


if __name__ == "__main__":
    main()
