# SPDX-License-Identifier: Apache-2.0
"""FINN nodes for the kernels of ``hls/rtl``.

Each is FINN's own abstract layer with FINN's RTL back end: shapes, streams, folding attributes and
numpy execution are FINN's; cycles, resources and HDL are ours. Import it after `setup_finn` only.
FINN looks a node up by its class name, hence the names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.custom_op.fpgadataflow.streamingdatawidthconverter import StreamingDataWidthConverter
from finn.custom_op.fpgadataflow.streamingfifo import StreamingFIFO
from finn.custom_op.fpgadataflow.thresholding import Thresholding

from hls.costs import Cost, stream_cost
from hls.devices import device
from hls.finn_ops import hdl
from hls.finn_ops.base import PhyLayer
from hls.finn_ops.images import (
    AddStreams_phy,
    DuplicateStreams_phy,
    Pool_phy,
    StreamingConcat_phy,
    StreamingSplit_phy,
    UpsampleNearestNeighbour_phy,
    Window_phy,
)
from hls.finn_ops.params import (
    dwc_params,
    mvau_params,
    requant_params,
    sparse_params,
    thresholding_params,
)
from hls.ir import IntFormat, Stream


class MVAU_phy(MVAU, PhyLayer):
    """Dense matrix-vector unit, kernel phy_mvau."""

    ir_kind = "mvau"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes of an MVAU in RTL."""
        return {**MVAU.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        return mvau_params(self)

    def ir_arrays(self, model: Any) -> dict[str, np.ndarray]:
        """Weights [MatH, MatW]."""
        weights = model.get_initializer(self.onnx_node.input[1])
        return {"weights": np.rint(weights.astype(np.float64)).astype(np.int64).T.copy()}

    def execute_node(self, context: Any, graph: Any) -> None:
        """Numpy, or the RTL where exec_mode asks for it."""
        self._execute(MVAU, context, graph)

    lut_estimation = PhyLayer.lut_estimation
    bram_estimation = PhyLayer.bram_estimation
    dsp_estimation = PhyLayer.dsp_estimation
    uram_estimation = PhyLayer.uram_estimation
    bram_efficiency_estimation = PhyLayer.bram_efficiency_estimation
    uram_efficiency_estimation = PhyLayer.uram_efficiency_estimation
    code_generation_ipi = PhyLayer.code_generation_ipi


class SparseMVAU_phy(MVAU_phy):
    """Matrix-vector unit for block-balanced sparse weights, kernel phy_mvau_sparse."""

    ir_kind = "mvau_sparse"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """An MVAU's, and the block form: at most ``nnz`` non-zeros in ``block`` columns."""
        return {
            **super().get_nodeattr_types(),
            "block": ("i", True, 0),
            "nnz": ("i", True, 0),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        return sparse_params(self)


class Thresholding_phy(Thresholding, PhyLayer):
    """Thresholds by binary search, kernel phy_thresholding."""

    ir_kind = "thresholding"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes of a Thresholding in RTL."""
        return {**Thresholding.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        return thresholding_params(self)

    def ir_arrays(self, model: Any) -> dict[str, np.ndarray]:
        """Thresholds [channels, steps]."""
        table = model.get_initializer(self.onnx_node.input[1]).astype(np.float64)
        shape = (self.get_nodeattr("NumChannels"), table.shape[1])
        return {"thresholds": np.rint(np.broadcast_to(table, shape)).astype(np.int64)}

    def execute_node(self, context: Any, graph: Any) -> None:
        """Numpy, or the RTL where exec_mode asks for it."""
        self._execute(Thresholding, context, graph)


class Requant_phy(Thresholding_phy):
    """y = clip(half_even((x mul + add) / 2^shift)), kernel phy_requant; inputs x, mul, add."""

    ir_kind = "requant"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """A thresholding's, and those of the arithmetic."""
        return {
            **super().get_nodeattr_types(),
            "shift": ("i", True, 0),
            "mulBits": ("i", True, 0),
            "addBits": ("i", True, 0),
            "outMin": ("i", True, 0),
            "outMax": ("i", True, 0),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        return requant_params(self)

    def ir_arrays(self, model: Any) -> dict[str, np.ndarray]:
        """``mul`` and ``add`` [channels]."""
        _, mul, add = self.onnx_node.input
        return {
            key: np.rint(model.get_initializer(name).astype(np.float64)).astype(np.int64)
            for key, name in (("mul", mul), ("add", add))
        }

    def minimize_weight_bit_width(self, model: Any, datatype_only: bool = False) -> None:
        """Nothing to minimize: the widths are those of mul and add."""

    def execute_node(self, context: Any, graph: Any) -> None:
        """Integer arithmetic in numpy, or the RTL where exec_mode asks for it."""
        if self.get_nodeattr("exec_mode") == "rtlsim":
            self._simulate(context, graph)
            return
        from hls.reference import half_even_shift

        x, mul, add = (np.rint(context[n]).astype(np.int64) for n in self.onnx_node.input)
        y = half_even_shift(x * mul + add, self.get_nodeattr("shift"))
        y = np.clip(y, self.get_nodeattr("outMin"), self.get_nodeattr("outMax"))
        context[self.onnx_node.output[0]] = y.astype(np.float32)


class StreamingDataWidthConverter_phy(StreamingDataWidthConverter, PhyLayer):
    """Stream width converter, kernel phy_dwc."""

    ir_kind = "dwc"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes of a width converter in RTL."""
        return {
            **StreamingDataWidthConverter.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        return dwc_params(self)

    def get_exp_cycles(self) -> int:
        """Beats of the narrower side."""
        return int(
            max(
                np.prod(self.get_folded_input_shape()[:-1]),
                np.prod(self.get_folded_output_shape()[:-1]),
            )
        )

    def execute_node(self, context: Any, graph: Any) -> None:
        """The elements pass unchanged."""
        self._execute(StreamingDataWidthConverter, context, graph)

    lut_estimation = PhyLayer.lut_estimation


class StreamingFIFO_phy(StreamingFIFO, PhyLayer):
    """FIFO of a depth that was found by simulation, kernel phy_fifo."""

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes of a FIFO in RTL."""
        return {**RTLBackend.get_nodeattr_types(self), **StreamingFIFO.get_nodeattr_types(self)}

    def phy_cost(self, fpgapart: str) -> Cost:
        """Cost on a part; raises for an unknown part."""
        fmt, fold = self.get_input_datatype(), self.get_nodeattr("folded_shape")
        stream = Stream(
            self.onnx_node.name,
            None,
            None,
            IntFormat(fmt.bitwidth(), bool(fmt.signed())),
            int(fold[-1]),
            int(np.prod(fold[:-1])),
            self.get_nodeattr("depth"),
        )
        return stream_cost(stream, device(fpgapart))

    def generate_hdl(self, model: Any, fpgapart: str, clk: float) -> None:
        """A wrapper with FINN's port names round the kernel."""
        hdl.generate_fifo(self)

    def execute_node(self, context: Any, graph: Any) -> None:
        """The elements pass unchanged; node by node, FINN simulates no FIFO either."""
        StreamingFIFO.execute_node(self, context, graph)

    lut_estimation = PhyLayer.lut_estimation
    bram_estimation = PhyLayer.bram_estimation
    uram_estimation = PhyLayer.uram_estimation
    bram_efficiency_estimation = PhyLayer.bram_efficiency_estimation
    uram_efficiency_estimation = PhyLayer.uram_efficiency_estimation


LAYERS = (
    MVAU_phy,
    SparseMVAU_phy,
    Thresholding_phy,
    Requant_phy,
    StreamingDataWidthConverter_phy,
    StreamingFIFO_phy,
    Window_phy,
    Pool_phy,
    UpsampleNearestNeighbour_phy,
    DuplicateStreams_phy,
    StreamingConcat_phy,
    StreamingSplit_phy,
    AddStreams_phy,
)
