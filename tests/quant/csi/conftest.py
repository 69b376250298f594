# SPDX-License-Identifier: Apache-2.0
"""The small set of samples."""

import numpy as np
import pytest
import torch

from models.csi.data import SMALL_SET, CsiData, load_data


@pytest.fixture(scope="session")
def small() -> CsiData:
    return load_data(SMALL_SET)


@pytest.fixture(scope="session")
def samples(small: CsiData) -> torch.Tensor:
    return torch.from_numpy(np.array(small.train[:40]))
