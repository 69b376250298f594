# SPDX-License-Identifier: Apache-2.0
"""Quantization-aware training and export of the CSI-feedback networks."""
