# SPDX-License-Identifier: Apache-2.0
"""Cycle-accurate simulation of accelerators in Verilator (docs/simulation.md)."""
