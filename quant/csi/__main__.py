# SPDX-License-Identifier: Apache-2.0
"""Train, measure and export CSI networks.

python -m quant.csi train RECIPE     a shipped recipe or a TOML file; resumes what is there
python -m quant.csi measure FOLDER   counts NMSE and rho, writes metrics.json in the checkpoint
python -m quant.csi export FOLDER    writes encoder.onnx and decoder.onnx
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from models.errors import PhyfoldError

log = logging.getLogger("quant.csi")


def _train(args: argparse.Namespace) -> None:
    from quant.csi.checkpoint import csi_checkpoint_folder
    from quant.csi.evaluate import measure_csi
    from quant.csi.recipe import load_csi_recipe
    from quant.csi.train import CsiProgress, CsiTrainOptions, train_csi

    recipe = load_csi_recipe(args.recipe)
    folder = args.out or csi_checkpoint_folder(recipe.name)
    options = CsiTrainOptions(
        device=args.device,
        threads=args.threads,
        data=args.data,
        cost2100=args.cost2100,
        checkpoints=args.checkpoints,
        stop_after=args.stop_after,
    )

    def show(p: CsiProgress) -> None:
        val = "" if p.val_nmse_db is None else f", validation {p.val_nmse_db:.2f} dB"
        log.info("step %d of %d: NMSE %.2f dB%s", p.step, p.steps, p.train_nmse_db, val)

    train_csi(recipe, folder, options, show)
    if not (folder / "state.safetensors").exists():
        result = measure_csi(folder, data_folder=args.data, cost2100=args.cost2100)
        log.info("%s: test NMSE %.2f dB, rho %.4f", recipe.name, result["nmse_db"], result["rho"])


def _measure(args: argparse.Namespace) -> None:
    from quant.csi.evaluate import measure_csi

    result = measure_csi(args.folder, data_folder=args.data, cost2100=args.cost2100)
    log.info("%s: NMSE %.2f dB, rho %.4f", result["name"], result["nmse_db"], result["rho"])


def _export(args: argparse.Namespace) -> None:
    from quant.csi.checkpoint import load_csi_checkpoint
    from quant.csi.export import HALVES, export_csi_qonnx

    recipe, network = load_csi_checkpoint(args.folder)
    for half in HALVES:
        log.info("%s", export_csi_qonnx(recipe, network, half, args.out / f"{half}.onnx"))


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``python -m quant.csi``."""
    parser = argparse.ArgumentParser(prog="quant.csi", description="CSI feedback networks.")
    commands = parser.add_subparsers(required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--data", type=Path, help="folder of generated sets of samples")
    places.add_argument("--cost2100", type=Path, help="folder of CsiNet's COST2100 files")
    train = commands.add_parser("train", parents=[places], help="train a recipe")
    train.add_argument("recipe")
    train.add_argument("--out", type=Path, help="checkpoint folder; default: the shipped one")
    train.add_argument("--checkpoints", type=Path, help="folder in which init is looked up")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")
    train.add_argument("--threads", type=int)
    train.add_argument("--stop-after", type=int, help="stop, saved, after this many steps")
    train.set_defaults(run=_train)
    measure = commands.add_parser("measure", parents=[places], help="count NMSE and rho")
    measure.add_argument("folder", type=Path)
    measure.set_defaults(run=_measure)
    export = commands.add_parser("export", help="write encoder.onnx and decoder.onnx")
    export.add_argument("folder", type=Path)
    export.add_argument("--out", type=Path, default=Path())
    export.set_defaults(run=_export)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)  # ours alone: torch's exporter tells every step at this level
    try:
        args.run(args)
    except PhyfoldError as error:
        hint = f" ({error.hint})" if error.hint else ""
        parser.exit(error.exit_code, f"{parser.prog}: {error}{hint}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
