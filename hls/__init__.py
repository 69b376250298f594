# SPDX-License-Identifier: Apache-2.0
"""From QONNX to RTL, and its cycle-accurate simulation."""
