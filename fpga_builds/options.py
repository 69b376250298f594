# SPDX-License-Identifier: Apache-2.0
"""Options and arguments that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

DEFAULT_JOBS = min(16, len(os.sched_getaffinity(0)))
"""As many as there are cores; more than 16 do not speed a chunk of frames up."""

Build = Annotated[
    str,
    typer.Argument(metavar="BUILD", help="Name of a build, path of a build.toml or .onnx file."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="Folder of results.", show_default="build/<name>")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Jobs = Annotated[int, typer.Option("--jobs", min=1, max=256, help="Processes at a time.")]
Seed = Annotated[
    int | None, typer.Option("--seed", min=0, help="Seed.", show_default="of the build")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]
Checkpoint = Annotated[
    str | None, typer.Option("--checkpoint", help="Checkpoint folder instead of the build's.")
]
SnrDb = Annotated[
    list[float] | None,
    typer.Option(
        "--snr-db",
        metavar="DB [DB ...]",
        help="SNR points in dB; several after one option, or separated by commas.",
        show_default="of the build",
    ),
]
Frames = Annotated[
    int | None,
    typer.Option("--frames", min=1, help="Frames per SNR.", show_default="of the build"),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", min=1, help="Samples of a CSI build.", show_default="of the build"),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="NAME|FOLDER",
        help="Channels of a CSI build: inh, umi, small, or a folder of COST2100 files.",
        show_default="of the build",
    ),
]
