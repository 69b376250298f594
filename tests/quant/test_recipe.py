# SPDX-License-Identifier: Apache-2.0
"""Recipes: round trip, refusal of typos, readable errors."""

import tomllib

import pytest

from models.errors import ConfigError
from quant.recipe import RECIPE_FOLDER, PruningConfig, Recipe, load_recipe, parse_recipe

SHIPPED = sorted(path.stem for path in RECIPE_FOLDER.glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_round_trips(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert recipe.train.init is None or recipe.train.init in SHIPPED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\n[quant]\nweigth_bits = 4', r"quant\.weigth_bits = 4: Extra inputs"),
        ('name = "a"\n[quant]\nweight_bits = 9', r"quant\.weight_bits = 9: Input should be"),
        ('name = "a"\n[quant]\nact_bits = 0', r"quant\.act_bits = 0: .*greater than or equal to 1"),
        ('name = "a"\n[train]\nlr = -1.0', r"train\.lr = -1\.0: .*greater than 0"),
        ('name = "a"\n[quant.layers.9]\nact_bits = 4', r"quant\.layers\.9: the network has layers"),
        ('name = "a"\n[pruning]\nkind = "balanced"', "balanced pruning needs block and nnz"),
        ('name = "a"\n[pruning]\nkind = "unstructured"', "unstructured pruning needs sparsity"),
        (
            'name = "a"\n[pruning]\nkind = "balanced"\nblock = 7\nnnz = 2',
            r"pruning\.block=7 must divide the inputs 60 and the width 300",
        ),
        ('name = "a"\n[train]\nsnr_db = [12.0, 8.0]', r"snr_db must be \(low, high\)"),
        (
            'name = "a"\n[quant]\n[train]\nproject_noise = true',
            "project_noise must be false for a quantized network",
        ),
    ],
)
def test_bad_recipe_names_key_value_and_rule(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe(tomllib.loads(text), "test.toml")


def test_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'nosuch'; shipped recipes: .*fullycon_float"):
        load_recipe("nosuch")


def test_per_layer_bits_override_the_default() -> None:
    recipe = parse_recipe(
        {
            "name": "a",
            "quant": {"weight_bits": 4, "act_bits": 4, "layers": {0: {"weight_bits": 8}}},
        },
        "test",
    )
    assert recipe.quant is not None
    assert recipe.quant.bits_of(0) == (8, 4)
    assert recipe.quant.bits_of(1) == (4, 4)


def test_balanced_target_is_the_removed_part() -> None:
    assert PruningConfig(kind="balanced", block=20, nnz=4).target == pytest.approx(0.8)
