# SPDX-License-Identifier: Apache-2.0
"""One thread: tests run side by side, and small matrices gain nothing from more."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
