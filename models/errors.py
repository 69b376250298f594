# SPDX-License-Identifier: Apache-2.0
"""The errors a user of phyfold can meet. This file imports nothing, so every package may use it.

    PhyfoldError                 exit code 1
      CheckError                 1  a check of the flow failed (bits differ, timing, missing metric)
        MismatchError            1  two links of the golden chain differ
      ConfigError                2  a build file, an option or a recipe is wrong
      CheckpointError            2  a checkpoint is corrupted or does not fit its recipe
      ExportError                2  a network cannot be written as QONNX
      CompileError               2  a QONNX model, or its folding, cannot be mapped to hardware
      ToolError                  1  an external tool failed (its log is named)
        ToolMissingError         3  an external tool is not installed
      StorageError               1  a file could not be written (disk full, no permission)
      SystemTroubleError         1  the operating system has no files or memory left, or lost a file
      LimitError                 2  a file is larger than any of its kind, or claims to be

Every message names the thing, the value, the rule and the way out; ``hint`` holds the way out where
it deserves its own line.
"""

from __future__ import annotations


class PhyfoldError(Exception):
    """Base of all errors that are shown to the user without a traceback."""

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CheckError(PhyfoldError):
    """A check of the flow failed: the design is not what it has to be."""

    kind = "check_failed"


class MismatchError(CheckError):
    """Two links of the golden chain gave different integers."""

    kind = "mismatch"


class ConfigError(PhyfoldError):
    """A build file, command line option or recipe is wrong."""

    exit_code = 2
    kind = "config"


class CheckpointError(PhyfoldError):
    """A checkpoint is corrupted, incomplete or does not fit its recipe."""

    exit_code = 2
    kind = "checkpoint"


class ExportError(PhyfoldError):
    """A network cannot be written as a QONNX model."""

    exit_code = 2
    kind = "export"


class CompileError(PhyfoldError):
    """A QONNX model, or the folding asked for, cannot be mapped to hardware."""

    exit_code = 2
    kind = "compile"


class ToolError(PhyfoldError):
    """An external tool failed; the message holds the end of its log."""

    kind = "tool_failed"


class ToolMissingError(ToolError):
    """An external tool that this step needs is not installed."""

    exit_code = 3
    kind = "tool_missing"


class StorageError(PhyfoldError):
    """A file could not be written; what was there before is untouched."""

    kind = "storage"


class SystemTroubleError(PhyfoldError):
    """The operating system refused something that is no fault of a path or an option."""

    kind = "system"


class LimitError(PhyfoldError):
    """A file is larger than any of its kind, or its header claims that it is."""

    exit_code = 2
    kind = "limit"
