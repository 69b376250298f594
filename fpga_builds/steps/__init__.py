# SPDX-License-Identifier: Apache-2.0
"""The steps of a flow, one file each; `fpga_builds.steps.order` puts them in order."""
