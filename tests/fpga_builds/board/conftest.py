# SPDX-License-Identifier: Apache-2.0
"""One simulated board for all tests of this folder: the tiny accelerator on a ULX3S."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from board_chains import Tiny, tiny

from fpga_builds.board.link import BoardLink, open_port
from fpga_builds.board.simulated import SimulatedBoard
from hls.board import BoardPackage, load_board
from hls.sim.board_native import build_board


@dataclass(frozen=True)
class Chip:
    """The accelerator, its board package and the built model."""

    tiny: Tiny
    package: BoardPackage
    cache: Path
    library: Path

    def copy(self, folder: Path) -> BoardPackage:
        """The package in another folder, to be spoiled; its model is the same."""
        shutil.copytree(self.package.folder, folder)
        return load_board(folder)


@pytest.fixture(scope="session")
def accelerator(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny accelerator."""
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def package(accelerator: Tiny, tmp_path_factory: pytest.TempPathFactory) -> BoardPackage:
    """Its board package."""
    return accelerator.write(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="session")
def chip(
    accelerator: Tiny, package: BoardPackage, tmp_path_factory: pytest.TempPathFactory
) -> Chip:
    """The board, built once."""
    cache = tmp_path_factory.mktemp("cache")
    return Chip(accelerator, package, cache, build_board(package, cache / "boards"))


@pytest.fixture
def simulated(chip: Chip) -> Iterator[SimulatedBoard]:
    """The board after power-up, behind a pseudo-terminal."""
    with SimulatedBoard(chip.package, chip.library) as board:
        yield board
        assert board.error is None


Connect = Callable[[str], BoardLink]


@pytest.fixture
def connect(chip: Chip) -> Iterator[Connect]:
    """Opens links to terminals and closes them again."""
    links: list[BoardLink] = []

    def connect_to(port: str) -> BoardLink:
        opened = open_port(port, chip.package.baud)
        links.append(BoardLink(opened, port, baud=chip.package.baud, patience_s=20.0))
        return links[-1]

    yield connect_to
    for link in links:
        link.close()
