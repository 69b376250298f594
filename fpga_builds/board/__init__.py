# SPDX-License-Identifier: Apache-2.0
"""The host's side of a board: packets, requests, bit error rates, and a simulated board."""
