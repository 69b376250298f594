# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training, pruning, checkpoints and QONNX export."""
