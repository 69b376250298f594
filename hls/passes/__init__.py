# SPDX-License-Identifier: Apache-2.0
"""Graph passes: one transformation a file, from QONNX to folded FINN hardware layers."""
