# SPDX-License-Identifier: Apache-2.0
"""CSI recipes: round trips, refused keys and values, quick versions."""

from pathlib import Path

import pytest

from models.errors import ConfigError
from quant.csi.recipe import (
    RECIPE_FOLDER,
    CsiNetworkConfig,
    CsiQuantConfig,
    CsiRecipe,
    load_csi_recipe,
    parse_csi_recipe,
)

SHIPPED = sorted(path.stem for path in RECIPE_FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_is_valid_and_round_trips(name: str) -> None:
    recipe = load_csi_recipe(name)
    assert recipe.name == name
    assert CsiRecipe.model_validate_json(recipe.model_dump_json()) == recipe
    if recipe.train.init is not None:
        source = load_csi_recipe(recipe.train.init)
        assert source.network.kind == recipe.network.kind
        if recipe.quant is not None:
            assert source.network.ratio == recipe.network.ratio
        assert source.data == recipe.data


def test_there_are_recipes() -> None:
    assert len(SHIPPED) >= 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "x", "netwrok": {}}, "netwrok"),
        ({"name": "x", "network": {"ratio": 5}}, r"network.ratio = 5"),
        ({"name": "x", "network": {"kind": "dense"}}, r"network.kind = 'dense'"),
        ({"name": "x", "quant": {"code_bits": 9}}, r"quant.code_bits = 9"),
        ({"name": "x", "quant": {"weight_bits": 1}}, r"quant.weight_bits = 1"),
        ({"name": "X y"}, r"name = 'X y'"),
        ({"name": "x", "network": {"kind": "csinet"}, "quant": {}}, "floating-point reference"),
    ],
    ids=["typo", "ratio", "kind", "code-bits", "weight-bits", "name", "csinet-quant"],
)
def test_wrong_recipes_name_what_is_wrong(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_csi_recipe(data, "test.toml")


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"shipped recipes: .*convsqucsinet_r16_float"):
        load_csi_recipe("nothing")
    path = tmp_path / "bad.toml"
    path.write_text("name = ")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_csi_recipe(path)


@pytest.mark.parametrize(("ratio", "bits", "expected"), [(4, 8, 4096), (16, 5, 640), (64, 2, 64)])
def test_feedback_bits(ratio: int, bits: int, expected: int) -> None:
    network = CsiNetworkConfig.model_validate({"ratio": ratio})
    recipe = CsiRecipe(name="x", network=network, quant=CsiQuantConfig(code_bits=bits))
    assert recipe.feedback_bits == expected
    assert CsiRecipe(name="x", network=network).feedback_bits is None


def test_quick_recipe_needs_no_generated_data() -> None:
    recipe = load_csi_recipe("convsqucsinet_r16_float").quick(7)
    assert (recipe.train.steps, recipe.data.kind) == (7, "small")
    assert recipe.network.ratio == 16


def test_csinet_has_no_description() -> None:
    recipe = CsiRecipe(name="x", network=CsiNetworkConfig(kind="csinet"))
    with pytest.raises(ConfigError, match="dense layers"):
        _ = recipe.spec
