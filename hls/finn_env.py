# SPDX-License-Identifier: Apache-2.0
"""FINN without its command line and without Vivado: all that is special about it is here.

FINN wants global settings, a build folder named by ``FINN_BUILD_DIR``, and imports torch for one
layer that is not used here: where torch is not installed, a stand-in takes its place.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import types
from pathlib import Path

from models.errors import ToolMissingError

log = logging.getLogger(__name__)

RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
_state = {"ready": False}


def setup_finn(build_dir: Path) -> None:
    """Make FINN usable in this process; may be called any number of times.

    Args:
        build_dir: folder for what FINN generates; created if it does not exist.

    Raises:
        ToolMissingError: finn-plus is not installed.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(build_dir.resolve())
    if importlib.util.find_spec("finn") is None:
        raise ToolMissingError(
            "FINN is not installed: the package finn-plus is missing",
            hint="install the project's lock file (make install)",
        )
    _stand_in_for_torch()
    from finn.util.settings import initialize_dummy_settings

    initialize_dummy_settings()
    if not _state["ready"]:
        for name in ("finn", "finn_logger", "finn_xsi"):
            logging.getLogger(name).setLevel(logging.ERROR)
        register_layers()
        _state["ready"] = True


def register_layers() -> None:
    """Put our hardware layers into FINN's registry of RTL layers."""
    from finn.custom_op.fpgadataflow.rtl import register_custom_op

    from hls.finn_ops.layers import LAYERS

    for layer in LAYERS:
        register_custom_op(layer)


def _stand_in_for_torch() -> None:
    if "torch" in sys.modules or importlib.util.find_spec("torch") is not None:
        return
    for name in ("torch", "torch.nn", "torch.nn.functional"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torch"].nn = sys.modules["torch.nn"]  # type: ignore[attr-defined]
    sys.modules["torch.nn"].functional = sys.modules["torch.nn.functional"]  # type: ignore[attr-defined]
