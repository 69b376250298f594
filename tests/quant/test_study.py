# SPDX-License-Identifier: Apache-2.0
"""The study's page is what the kept numbers give, and the kept numbers are the checkpoints'."""

import json

from quant.study import RESULTS, SHIPPED, Row, markdown_table, row_of


def test_page_table_and_checkpoints_agree() -> None:
    kept = json.loads((RESULTS / "compression.json").read_text())
    rows = [Row(**row) for row in kept["rows"]]
    assert markdown_table(rows) in (RESULTS / "compression.md").read_text()
    assert rows[: len(SHIPPED)] == [row_of(name) for name in SHIPPED]
    assert set(kept["untrained"]["quantized"]) == {"W8A8", "W6A6", "W4A4"}


def test_a_curve_that_never_reaches_the_target_says_so() -> None:
    row = Row("x", "4", "4", 0.5, 1000, 10, 0.1, 0.05, None)
    assert "| not reached |" in markdown_table([row])
