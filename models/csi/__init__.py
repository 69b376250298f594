# SPDX-License-Identifier: Apache-2.0
"""CSI feedback: channels, metrics, networks and baselines in floating point."""
