# SPDX-License-Identifier: Apache-2.0
"""Channels, networks, classical detectors and error rates in floating point."""
