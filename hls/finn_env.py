# SPDX-License-Identifier: Apache-2.0
"""FINN without its command line and without Vivado: all that is special about it is here.

FINN wants global settings, in a file that would lie in the home folder, a build folder named by
``FINN_BUILD_DIR``, and imports torch for one layer that is not used here. Loading torch takes
longer than most compilations, and it need not be installed: while FINN is imported, stand-ins take
its place that load torch when they are used.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from models.errors import ToolMissingError

log = logging.getLogger(__name__)

INSTALL = "pip install --no-deps finn-plus==1.6.1"
"""How to get the version of requirements.lock; with its own wishes pip finds no solution."""
RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
TORCH = ("torch", "torch.nn", "torch.nn.functional")
SETTINGS = "FINN_SETTINGS"
_state = {"ready": False}
_ours = {"settings": ""}
"""What we set, not the user."""


def require_finn() -> None:
    """Raise ToolMissingError unless FINN is installed; its name on PyPI is finn-plus."""
    if importlib.util.find_spec("finn") is None:
        raise ToolMissingError(
            "FINN is not installed: the package finn-plus is missing", hint=INSTALL
        )


def setup_finn(build_dir: Path) -> None:
    """Make FINN usable in this process; may be called any number of times.

    Args:
        build_dir: folder for what FINN generates; created if it does not exist.

    Raises:
        ToolMissingError: finn-plus is not installed.
    """
    build_dir.mkdir(parents=True, exist_ok=True)
    os.environ["FINN_BUILD_DIR"] = str(build_dir.resolve())
    _settings_in(build_dir)
    require_finn()
    try:
        from finn.util.settings import initialize_dummy_settings
    except ImportError as error:
        raise ToolMissingError(
            f"FINN cannot be loaded ({error})",
            hint="`make install` installs the project's lock file, all that FINN needs with it",
        ) from error

    initialize_dummy_settings()
    if not _state["ready"]:
        with _no_torch():
            importlib.import_module("finn.custom_op.fpgadataflow.layernorm")
        for name in ("finn", "finn_logger", "finn_xsi"):
            logging.getLogger(name).setLevel(logging.ERROR)
        register_layers()
        _state["ready"] = True


def _settings_in(build_dir: Path) -> None:
    """FINN's settings lie in the build's folder, unless the user names a file of them.

    A home folder that is missing, or that nobody may write, is no obstacle then, and what lies in
    it changes no result.
    """
    if os.environ.get(SETTINGS) in (None, "", _ours["settings"]):
        _ours["settings"] = os.environ[SETTINGS] = str(build_dir.resolve() / "settings.yaml")


def register_layers() -> None:
    """Put our hardware layers into FINN's registry of RTL layers."""
    from finn.custom_op.fpgadataflow.rtl import register_custom_op

    from hls.finn_ops.layers import LAYERS

    for layer in LAYERS:
        register_custom_op(layer)


class _Later(types.ModuleType):
    """A module that is imported when something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def _no_torch() -> Iterator[None]:
    """``import torch`` gives a stand-in inside, unless torch is loaded already."""
    stand_ins = {} if "torch" in sys.modules else {name: _Later(name) for name in TORCH}
    for name, module in stand_ins.items():
        sys.modules[name] = module
        parent, _, own = name.rpartition(".")
        if parent:
            setattr(stand_ins[parent], own, module)
    try:
        yield
    finally:
        for name, module in stand_ins.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]
