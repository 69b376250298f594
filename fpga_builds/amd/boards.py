# SPDX-License-Identifier: Apache-2.0
"""AMD boards that FINN has a shell for.

Names, parts and ports are FINN's (finn-plus 1.6.1, ``finn.util.basic``), so that nothing heavy has
to be imported to list them; a test holds them to FINN's tables. Two that FINN's part table has are
not here: U200, as FINN's linking step knows no memory port for it, and ZCU111, which its Zynq shell
does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.errors import ConfigError

Flow = Literal["vivado", "vitis"]


@dataclass(frozen=True)
class AmdBoard:
    """A board.

    Attributes:
        name: FINN's name of it.
        part: the FPGA with package and speed grade.
        flow: ``vivado`` for Zynq (FINN's Zynq shell), ``vitis`` for Alveo (v++ link).
        platform: Vitis platform; empty for Zynq.
        dma_bits: widest memory port of the DMAs [bit].
        ships_with_vivado: no board files have to be fetched.
    """

    name: str
    part: str
    flow: Flow
    platform: str = ""
    dma_bits: int = 128
    ships_with_vivado: bool = False


VITIS_DMA_BITS = 512


def _alveo(name: str, part: str, platform: str) -> AmdBoard:
    return AmdBoard(name, part, "vitis", platform, VITIS_DMA_BITS)


BOARDS = {
    board.name: board
    for board in (
        AmdBoard("Pynq-Z1", "xc7z020clg400-1", "vivado", dma_bits=64),
        AmdBoard("Pynq-Z2", "xc7z020clg400-1", "vivado", dma_bits=64),
        AmdBoard("Ultra96", "xczu3eg-sbva484-1-e", "vivado"),
        AmdBoard("Ultra96-V2", "xczu3eg-sbva484-1-i", "vivado"),
        AmdBoard("AUP-ZU3_8GB", "xczu3eg-sfvc784-2-e", "vivado"),
        AmdBoard("ZCU102", "xczu9eg-ffvb1156-2-e", "vivado", ships_with_vivado=True),
        AmdBoard("ZCU104", "xczu7ev-ffvc1156-2-e", "vivado", ships_with_vivado=True),
        AmdBoard("RFSoC2x2", "xczu28dr-ffvg1517-2-e", "vivado"),
        AmdBoard("RFSoC4x2", "xczu48dr-ffvg1517-2-e", "vivado"),
        AmdBoard("KV260_SOM", "xck26-sfvc784-2LV-c", "vivado"),
        _alveo("U50", "xcu50-fsvh2104-2L-e", "xilinx_u50_gen3x16_xdma_5_202210_1"),
        _alveo("U55C", "xcu55c-fsvh2892-2L-e", "xilinx_u55c_gen3x16_xdma_3_202210_1"),
        _alveo("U250", "xcu250-figd2104-2L-e", "xilinx_u250_gen3x16_xdma_4_1_202210_1"),
        _alveo("U280", "xcu280-fsvh2892-2L-e", "xilinx_u280_gen3x16_xdma_1_202211_1"),
    )
}


def find_board(name: str) -> AmdBoard:
    """The board of that name, upper and lower case alike; ConfigError lists those there are."""
    for board in BOARDS.values():
        if board.name.lower() == name.lower():
            return board
    raise ConfigError(f"board {name!r} is unknown; AMD boards: {', '.join(BOARDS)}")
