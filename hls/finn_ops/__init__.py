# SPDX-License-Identifier: Apache-2.0
"""Our hardware layers as FINN nodes; `hls.finn_env.setup_finn` registers them."""
