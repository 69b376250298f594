# SPDX-License-Identifier: Apache-2.0
"""What all our FINN nodes share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend

from hls.costs import Cost, kind_cost
from hls.devices import device
from hls.finn_ops import hdl


class PhyLayer(RTLBackend):
    """What all our nodes share: estimates from the cost model, HDL from the kernels."""

    ir_kind = ""
    streamed_inputs: ClassVar[int] = 1
    """The first inputs are streams, the others constants that the RTL has in memories."""

    def ir_params(self) -> dict[str, int]:
        """Integer parameters of the `hls.ir.Layer`."""
        raise NotImplementedError

    def ir_arrays(self, model: Any) -> dict[str, np.ndarray]:
        """Arrays of the `hls.ir.Layer`, int64."""
        return {}

    def phy_cost(self, fpgapart: str) -> Cost:
        """Cost on a part; raises for an unknown part or kind."""
        return kind_cost(self.ir_kind, self.ir_params(), device(fpgapart), self.onnx_node.name)

    def lut_estimation(self, fpgapart: str) -> int:
        """LUTs of the cost model."""
        return self.phy_cost(fpgapart).lut

    def bram_estimation(self, fpgapart: str) -> int:
        """18 kbit block RAMs of the cost model."""
        return self.phy_cost(fpgapart).bram18

    def dsp_estimation(self, fpgapart: str) -> int:
        """DSP blocks of the cost model."""
        return self.phy_cost(fpgapart).dsp

    def uram_estimation(self, fpgapart: str) -> int:
        """No kernel uses UltraRAM."""
        return 0

    def bram_efficiency_estimation(self, fpgapart: str) -> float:
        """Not estimated: FINN's neutral value."""
        return 1.0

    def uram_efficiency_estimation(self, fpgapart: str) -> float:
        """Not estimated: FINN's neutral value."""
        return 1.0

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """Kernel, memory files and a wrapper with FINN's port names."""
        hdl.generate(self, model, clk)

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """Sources, packages first."""
        return hdl.sources(self, abspath)

    def get_verilog_top_module_name(self) -> str:
        """The module's name, which stays when FINN gives the node another one."""
        return str(self.get_nodeattr("gen_top_module") or self.onnx_node.name)

    def code_generation_ipi(self) -> list[str]:
        """Tcl for Vivado's IP integrator."""
        return hdl.ipi_commands(self)

    def _simulate(self, context: Any, graph: Any) -> None:
        """FINN's rtlsim; the RTL has its parameters, so only the streams are passed."""
        inputs = self.onnx_node.input
        parameters = list(inputs[self.streamed_inputs :])
        del inputs[self.streamed_inputs :]
        try:
            RTLBackend.execute_node(self, context, graph)
        finally:
            inputs.extend(parameters)

    def _execute(self, base: type[HWCustomOp], context: Any, graph: Any) -> None:
        if self.get_nodeattr("exec_mode") == "rtlsim":
            self._simulate(context, graph)
        else:
            base.execute_node(self, context, graph)
