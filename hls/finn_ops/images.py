# SPDX-License-Identifier: Apache-2.0
"""FINN nodes of the image kernels, on FINN's abstract layers where it has one of that shape.

Tensors are [1, height, width, channels]. Folding attributes are FINN's: SIMD for Window_phy,
UpsampleNearestNeighbour_phy, StreamingConcat_phy and StreamingSplit_phy, PE for the others. Import
it after `setup_finn` only.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from finn.custom_op.fpgadataflow.concat import StreamingConcat
from finn.custom_op.fpgadataflow.convolutioninputgenerator import ConvolutionInputGenerator
from finn.custom_op.fpgadataflow.duplicatestreams import DuplicateStreams
from finn.custom_op.fpgadataflow.elementwise_binary import ElementwiseAdd
from finn.custom_op.fpgadataflow.pool import Pool
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from finn.custom_op.fpgadataflow.split import StreamingSplit
from finn.custom_op.fpgadataflow.upsampler import UpsampleNearestNeighbour
from onnx import NodeProto, helper

from hls import image_ops
from hls.finn_ops.base import PhyLayer
from hls.finn_ops.params import (
    add_params,
    channel_params,
    duplicate_params,
    pool_params,
    upsample_params,
    window_params,
)
from models.errors import CompileError


class ImageLayer(PhyLayer):
    """A layer without memories: estimates from our models, numpy execution from `hls.image_ops`."""

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs for the inputs, as tensors."""
        raise NotImplementedError

    def get_exp_cycles(self) -> int:
        """Cycles per frame of the cycle model."""
        from hls.cycles import layer_cycles
        from hls.ir import Layer

        layer = Layer(self.onnx_node.name, self.ir_kind, "", (), (), self.ir_params())
        beats = int(np.prod(self.get_folded_input_shape(0)[:-1]))
        return layer_cycles(layer, beats).ii

    def execute_node(self, context: Any, graph: Any) -> None:
        """Numpy, or the RTL where exec_mode asks for it."""
        if self.get_nodeattr("exec_mode") == "rtlsim":
            self._simulate(context, graph)
            return
        results = self.compute(*(context[name] for name in self.onnx_node.input))
        for name, result in zip(self.onnx_node.output, results, strict=True):
            context[name] = result.astype(np.float32)


class Window_phy(ImageLayer, ConvolutionInputGenerator):
    """Zero padding and sliding window in one, kernel phy_window.

    Attributes of FINN's ConvolutionInputGenerator, and ``Padding`` in the order of its FMPadding:
    [top, left, bottom, right]. IFMDim is the image before padding. Stride and Dilation are 1.
    """

    ir_kind = "window"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, and the padding."""
        return {
            **ConvolutionInputGenerator.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
            "Padding": ("ints", False, [0, 0, 0, 0]),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        for name in ("Stride", "Dilation"):
            if list(self.get_nodeattr(name)) != [1, 1]:
                raise CompileError(
                    f"{self.onnx_node.name}: {name}={list(self.get_nodeattr(name))}: a window has 1"
                )
        if self.get_nodeattr("depthwise"):
            raise CompileError(f"{self.onnx_node.name}: depthwise: a window has all channels")
        return window_params(self)

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """[1, out_h, out_w, kernel_h * kernel_w * channels]."""
        out_h, out_w = self.get_nodeattr("OFMDim")
        kernel = int(np.prod(self.get_nodeattr("ConvKernelDim")))
        return (1, out_h, out_w, kernel * self.get_nodeattr("IFMChannels"))

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """[1, out_h, out_w, kernel_h * kernel_w * channels / SIMD, SIMD]."""
        *pixels, elements = self.get_normal_output_shape()
        simd = self.get_nodeattr("SIMD")
        return (*pixels, elements // simd, simd)

    def use_parallel_window_output(self) -> bool:
        """Never: a beat carries channels of one pixel."""
        return False

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `hls.image_ops.window`."""
        kernel_h, kernel_w = self.get_nodeattr("ConvKernelDim")
        top, left, bottom, right = self.get_nodeattr("Padding")
        return (image_ops.window(inputs[0], (kernel_h, kernel_w), (top, bottom, left, right)),)


class Pool_phy(ImageLayer, Pool):
    """Sum (Function AccPool) or largest (MaxPool) of every tile, kernel phy_pool.

    Attributes of FINN's Pool; other than FINN's, it takes the image itself, without a sliding
    window in front of it. The stride is the kernel. OutputDataType of an AccPool holds the sum.
    """

    ir_kind = "pool"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes of a Pool in RTL."""
        return {**Pool.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        x, y = self.get_input_datatype(), self.get_output_datatype()
        function = self.get_nodeattr("Function")
        if function not in ("AccPool", "MaxPool") or x.signed() != y.signed():
            raise CompileError(
                f"{self.onnx_node.name}: Function={function} from {x.name} to {y.name}: a pool is "
                "AccPool or MaxPool, and keeps the sign",
                hint="average pooling is AccPool; its division belongs to the scale",
            )
        return pool_params(self)

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """[1, height, width, channels]."""
        out_h, out_w = self.get_nodeattr("OutImgDims")
        kernel_h, kernel_w = self.get_nodeattr("KernelSize")
        return (1, out_h * kernel_h, out_w * kernel_w, self.get_nodeattr("Channels"))

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `hls.image_ops.pool`."""
        kernel_h, kernel_w = self.get_nodeattr("KernelSize")
        maximum = self.get_nodeattr("Function") == "MaxPool"
        return (image_ops.pool(inputs[0], (kernel_h, kernel_w), maximum=maximum),)


class UpsampleNearestNeighbour_phy(ImageLayer, UpsampleNearestNeighbour):
    """Every pixel repeated HO / HI times down and WO / WI times across, kernel phy_upsample."""

    ir_kind = "upsample"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, in RTL."""
        return {
            **UpsampleNearestNeighbour.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        for before, after in (("HI", "HO"), ("WI", "WO")):
            small, large = self.get_nodeattr(before), self.get_nodeattr(after)
            if small < 1 or large % small:
                raise CompileError(
                    f"{self.onnx_node.name}: {after}={large} must be a multiple of {before}={small}"
                )
        return upsample_params(self)

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `hls.image_ops.upsample`."""
        p = self.ir_params()
        return (image_ops.upsample(inputs[0], (p["scale_h"], p["scale_w"])),)


class DuplicateStreams_phy(ImageLayer, DuplicateStreams):
    """One stream becomes two equal ones, kernel phy_duplicate; NumOutputStreams is 2."""

    ir_kind = "duplicate"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, in RTL."""
        return {
            **DuplicateStreams.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
            "outFIFODepths": ("ints", False, [2, 2]),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        if self.get_nodeattr("NumOutputStreams") != 2 or len(self.onnx_node.output) != 2:
            count = len(self.onnx_node.output)
            raise CompileError(
                f"{self.onnx_node.name}: has {count} outputs, a duplicate has 2",
                hint="put one duplicate behind the other for more",
            )
        return duplicate_params(self)

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The input, twice."""
        return (inputs[0], inputs[0])


class StreamingConcat_phy(ImageLayer, StreamingConcat):
    """Channels of two streams, pixel by pixel, kernel phy_concat. Both have one datatype."""

    ir_kind = "concat"
    streamed_inputs: ClassVar[int] = 2

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, in RTL."""
        return {
            **StreamingConcat.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
            "inFIFODepths": ("ints", False, [2, 2]),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        names, name = self.get_nodeattr("inputDataTypes"), self.onnx_node.name
        if len(self.get_nodeattr("ChannelsPerStream")) != 2 or len(set(names)) != 1:
            raise CompileError(
                f"{name}: concatenates {names}; a concat joins two streams of one datatype",
                hint="both inputs need one quantizer; put one concat behind the other for more",
            )
        return channel_params(self)

    def get_output_datatype(self, ind: int = 0) -> Any:
        """That of the inputs."""
        return self.get_input_datatype(0)

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `hls.image_ops.concat`."""
        return (image_ops.concat(*inputs),)


class StreamingSplit_phy(ImageLayer, StreamingSplit):
    """The first channels to one stream, the others to a second one, kernel phy_split."""

    ir_kind = "split"

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, in RTL."""
        return {
            **StreamingSplit.get_nodeattr_types(self),
            **RTLBackend.get_nodeattr_types(self),
            "outFIFODepths": ("ints", False, [2, 2]),
        }

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        parts = self.get_nodeattr("ChannelsPerStream")
        if len(parts) != 2:
            raise CompileError(f"{self.onnx_node.name}: splits into {parts}; a split has 2 outputs")
        return channel_params(self)

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """See `hls.image_ops.split`."""
        return image_ops.split(inputs[0], self.get_nodeattr("ChannelsPerStream")[0])


class AddStreams_phy(ImageLayer, ElementwiseAdd):
    """Elementwise sum of two streams of one datatype, kernel phy_add.

    Attributes of FINN's ElementwiseAdd; lhs and rhs are alike, out_dtype holds the sum.
    """

    ir_kind = "add"
    streamed_inputs: ClassVar[int] = 2

    def get_nodeattr_types(self) -> dict[str, Any]:
        """FINN's attributes, in RTL."""
        return {**ElementwiseAdd.get_nodeattr_types(self), **RTLBackend.get_nodeattr_types(self)}

    def ir_params(self) -> dict[str, int]:
        """See `hls.ir`."""
        left, right = (
            (self.get_nodeattr(f"{side}_dtype"), list(self.get_nodeattr(f"{side}_shape")))
            for side in ("lhs", "rhs")
        )
        if left != right:
            raise CompileError(
                f"{self.onnx_node.name}: adds {left} and {right}; both must be alike",
                hint="both inputs of an add need one quantizer",
            )
        return add_params(self)

    def make_shape_compatible_op(self, model: Any) -> NodeProto:
        """An Add."""
        return helper.make_node("Add", list(self.onnx_node.input), list(self.onnx_node.output))

    def compute(self, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """The sum."""
        return (inputs[0] + inputs[1],)
