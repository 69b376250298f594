# SPDX-License-Identifier: Apache-2.0
"""Learning curves are drawn from the log, and a missing log is named."""

from pathlib import Path

import pytest

from models.errors import CheckpointError
from quant.learning_curve import plot_learning_curve

HEADER = "step,loss,lr,sparsity,ber_10db,seconds\n"


def test_curve_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(
        HEADER + "100,0.5,0.01,0.1,,1\n200,0.3,0.01,0.2,1e-2,2\n300,0.2,0.01,0.3,5e-3,3\n"
    )
    path = plot_learning_curve(tmp_path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("text", "message"), [(None, "no such log"), (HEADER, "no line yet")])
def test_missing_log_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "log.csv").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        plot_learning_curve(tmp_path)
