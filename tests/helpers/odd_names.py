# SPDX-License-Identifier: Apache-2.0
"""Names of folders that shells, makefiles and scripts of tools read as more than a name."""

from __future__ import annotations

ODD = "Hö hö [1] $HOME $(x) `y` #%+,;&|<*?>'\"\\~:="
"""All at once."""
EVERYDAY = "Hö hö [1]"
"""What a desktop has."""
