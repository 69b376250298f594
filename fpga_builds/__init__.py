# SPDX-License-Identifier: Apache-2.0
"""Build configurations, the flow that runs them, reports and the command line."""
