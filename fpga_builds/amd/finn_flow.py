# SPDX-License-Identifier: Apache-2.0
"""FINN's build steps for one board, as a program: ``python -m fpga_builds.amd.finn_flow JOB``.

A process of its own, because FINN changes its environment, prints, starts pools and has to be ended
with all that it started when a tool hangs. What it is to do comes as a JSON file (`FinnJob`); what
became of it goes into ``result.json`` or ``error.json`` beside that file.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpga_builds.amd.job import ERROR, RESULT, FinnJob
from models.errors import PhyfoldError

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

log = logging.getLogger(__name__)

STEPS = (
    "step_hw_codegen",
    "step_hw_ipgen",
    "step_create_stitched_ip",
    "step_prepare_synthesis",
    "step_synthesize_bitfile",
    "step_make_driver",
    "step_deployment_package",
)
"""FINN's steps from a folded graph with FIFOs on, in FINN's order."""
PRODUCTS = ("STITCHED_IP", "BITFILE", "PYNQ_DRIVER", "DEPLOYMENT_PACKAGE")


def prepare(job: FinnJob) -> ModelWrapper:
    """The graph with FIFOs and with the HDL of every node, named as the layers are."""
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from qonnx.core.modelwrapper import ModelWrapper as Wrapper

    from hls.finn_ops.fifos import insert_fifos
    from hls.finn_ops.hdl import ACCELERATOR
    from hls.ir import Accelerator
    from hls.onnx_file import read_model

    folded = Wrapper(read_model(Path(job.model), finn=True))
    model = insert_fifos(folded, Accelerator.load(Path(job.accelerator)))
    model.set_metadata_prop(ACCELERATOR, str(Path(job.accelerator).resolve()))
    return model.transform(PrepareIP(job.part, job.clk_ns))


def finn_config(job: FinnJob) -> Any:
    """FINN's DataflowBuildConfig."""
    from finn.builder import build_dataflow_config as finn

    shells = {"vivado": finn.ShellFlowType.VIVADO_ZYNQ, "vitis": finn.ShellFlowType.VITIS_ALVEO}
    return finn.DataflowBuildConfig(
        output_dir=job.output_dir,
        synth_clk_period_ns=job.clk_ns,
        board=job.board,
        fpga_part=job.part,
        shell_flow_type=shells[job.flow],
        vitis_platform=job.platform or None,
        generate_outputs=[finn.DataflowOutputType[name] for name in PRODUCTS],
    )


def run(job: FinnJob) -> dict[str, Any]:
    """Prepare the graph and take it through FINN's steps; returns what the report needs."""
    from hls.finn_env import setup_finn
    from hls.sim.finn_xsi import install

    setup_finn(Path(job.build_dir))
    install()  # FINN's steps import its simulator, which would ask for Vivado's
    _environment()
    import finn.builder.build_dataflow_steps as steps

    config = finn_config(job)
    model = prepare(job)
    for name in STEPS:
        log.info("%s", name)
        model = getattr(steps, name)(model, config)
    return {"layers": _cells(model), "bitstream": _bitstream(model), "steps": list(STEPS)}


def _environment() -> None:
    """What FINN's own command line sets before it starts a flow."""
    from finn.util.settings import get_settings

    settings = get_settings()
    os.environ["FINN_RTLLIB"] = str(settings.finn_rtllib)
    os.environ["FINN_CUSTOM_HLS"] = str(settings.finn_custom_hls)
    os.environ.setdefault("XILINX_LOCAL_USER_DATA", "no")


def _cells(model: ModelWrapper) -> dict[str, str]:
    """Name of each of our nodes in the design -> layer or FIFO that it is."""
    from qonnx.core.modelwrapper import ModelWrapper as Wrapper
    from qonnx.custom_op.registry import getCustomOp

    found = {}
    for part in model.get_nodes_by_op_type("StreamingDataflowPartition"):
        for node in Wrapper(getCustomOp(part).get_nodeattr("model")).graph.node:
            if node.op_type.endswith("_phy"):
                found[node.name] = str(getCustomOp(node).get_nodeattr("gen_top_module"))
    return found


def _bitstream(model: ModelWrapper) -> str:
    """Path of the bitstream that FINN copied out; one device."""
    text = str(model.get_metadata_prop("bitfile_output"))
    return str(next(iter(json.loads(text).values()))) if text.startswith("{") else text


def main() -> int:
    """Run the job whose file is the argument; 0 if it is done."""
    path = Path(sys.argv[1])
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
    try:
        result = run(FinnJob(**json.loads(path.read_text())))
    except Exception as error:  # whatever FINN raises is told to the process that waits
        log.exception("failed")
        hint = error.hint if isinstance(error, PhyfoldError) else ""
        kind = error.kind if isinstance(error, PhyfoldError) else "finn"
        text = " ".join(str(error).split()) or type(error).__name__
        body = {"kind": kind, "message": text, "hint": hint}
        path.with_name(ERROR).write_text(json.dumps(body, indent=1) + "\n")
        return 1
    part = path.with_name(f"{RESULT}.part")
    part.write_text(json.dumps(result, indent=1) + "\n")
    part.replace(path.with_name(RESULT))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
