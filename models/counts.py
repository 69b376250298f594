# SPDX-License-Identifier: Apache-2.0
"""How much must have been counted before a number is a figure. Imports nothing."""

from __future__ import annotations

FIGURE_ERRORS = 10
"""Errors that a BER, or a loss read from one, needs to be stated: a standard error of a third."""
DECIDING_ERRORS = 100
"""Errors that a loss needs to pass or fail a check: a standard error of a tenth of the BER."""
DECIDING_SAMPLES = 100
"""Channel samples that a loss of NMSE needs to pass or fail a check."""
