# SPDX-License-Identifier: Apache-2.0
"""Build files: round trips, refusals, messages."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fpga_builds.config import (
    BuildConfig,
    available_builds,
    find_build,
    load_build,
    parse_build,
)
from models.errors import ConfigError

NAMES = ("w8a8", "w4a4", "w2a4", "w4a4_p80", "w4a4_p90", "w4a4_b80", "w4a4_b90")


def plain(**sections: Any) -> dict[str, Any]:
    """A minimal build with some sections replaced."""
    return {"name": "demo", "network": {"checkpoint": "fullycon_w4a4"}, **sections}


def test_the_promised_builds_exist() -> None:
    assert {f"fullycon_{name}" for name in NAMES} <= set(available_builds())


@pytest.mark.parametrize("name", available_builds())
def test_every_build_round_trips(name: str) -> None:
    config = load_build(name)
    assert config.name == name
    assert parse_build(tomllib.loads(config.to_toml()), "toml") == config
    assert parse_build(json.loads(config.model_dump_json()), "json") == config


def test_toml_keeps_quotes_and_backslashes() -> None:
    config = parse_build(plain(description='a "quoted" \\ path'), "x")
    assert parse_build(tomllib.loads(config.to_toml()), "y") == config


@pytest.mark.parametrize(
    ("sections", "message", "hint"),
    [
        ({"simulate": {"frame": 3}}, r"b.toml: unknown key simulate.frame = 3", "'frames'"),
        ({"colour": 1}, "unknown key colour = 1", "keys here"),
        ({"simulate": {"frames": 0}}, "simulate.frames = 0: .*greater than or equal to 1", "docs"),
        ({"simulate": {"frames": "many"}}, "simulate.frames = 'many': ", "docs"),
        ({"simulate": {"snr_db": [8, 8]}}, "each SNR may be named once", "docs"),
        ({"compile": {"output": "bits"}}, "compile.output = 'bits': .*'hard_pairs'", "docs"),
        ({"folding": {"target": "fps"}}, "target='fps' needs the key fps and no other", "docs"),
        ({"folding": {"cycles": 9, "fps": 9.0}}, r"and no other \(cycles, fps\)", "docs"),
        ({"channel": {"symbols": 9, "antennas": 4}}, "antennas=4 must be at least", "docs"),
        ({"network": {}}, "give either checkpoint or model", "docs"),
        ({"network": {"checkpoint": "a", "model": "b"}}, "not both", "docs"),
        ({"name": "a/b"}, "name = 'a/b'", "docs"),
        ({"name": "Demo"}, "name = 'Demo'", "docs"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_wrong_builds_are_refused(sections: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_build(plain(**sections), "b.toml")
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="key name is missing"):
        parse_build({"network": {"checkpoint": "a"}}, "b.toml")


def test_every_unknown_key_of_every_section_is_refused() -> None:
    for section, field in BuildConfig.model_fields.items():
        if section in ("name", "description"):
            continue
        assert field is not None
        body = plain()
        body[section] = {**body.get(section, {}), "no_such_key": 1}
        with pytest.raises(ConfigError, match=rf"unknown key {section}.no_such_key = 1"):
            parse_build(body, "b.toml")


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(ConfigError, match=r"simulate.frames.*simulate.seed"):
        parse_build(plain(simulate={"frames": 0, "seed": -1}), "b.toml")


def test_configuration_is_frozen() -> None:
    config = parse_build(plain(), "x")
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]


def test_updated_changes_one_key_and_checks_it() -> None:
    config = parse_build(plain(), "x")
    assert config.updated("simulate", frames=5, seed=None).simulate.frames == 5
    assert config.simulate.frames == 20_000
    with pytest.raises(ConfigError, match=r"command line: simulate\.frames"):
        config.updated("simulate", frames=-1)


def test_find_build_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no build 'fullycon_w4a'") as caught:
        find_build("fullycon_w4a")
    assert "fullycon_w4a4" in caught.value.hint


def test_broken_toml_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "build.toml"
    path.write_text("name = [\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_build(str(path))
    with pytest.raises(ConfigError, match="no such file"):
        load_build(str(tmp_path / "other.toml"))


def test_paths_are_relative_to_the_build_file(tmp_path: Path) -> None:
    (tmp_path / "build.toml").write_text('name = "m"\n[network]\nmodel = "net.onnx"\n')
    config = load_build(str(tmp_path))
    assert config.network.model == str(tmp_path / "net.onnx")


def test_a_qonnx_file_is_a_build_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "3 my-net.onnx"
    path.write_bytes(b"")
    config = load_build(str(path))
    assert config.name == "m_3_my_net"
    assert config.channel is None
    assert config.compile.output == "soft"


DETECTOR: dict[str, Any] = {
    "network": {"checkpoint": "fullycon_w4a4", "reference": "fullycon_float"},
    "channel": {},
}
CSI: dict[str, Any] = {
    "network": {"checkpoint": "convsqucsinet_r16_w8a8", "reference": "convsqucsinet_r16_float"},
    "csi": {"half": "encoder", "other": "convsqucsinet_dec_r16"},
    "compile": {"output": "codes"},
}
FOREIGN: dict[str, Any] = {"network": {"model": "net.onnx"}}
DEAF: dict[str, Any] = {**DETECTOR, "network": {"checkpoint": "fullycon_w4a4"}}


@pytest.mark.parametrize(
    ("base", "sections", "message"),
    [
        (DETECTOR, {"checks": {"max_nmse_loss_db": 0.3}}, "max_nmse_loss_db = 0.3: means nothing"),
        (CSI, {"checks": {"max_loss_db": 0.3}}, "max_loss_db = 0.3: means nothing in a CSI build"),
        (CSI, {"checks": {"loss_at_ber": 1e-2}}, "checks.loss_at_ber = 0.01: means nothing"),
        (CSI, {"simulate": {"snr_db": [3]}}, r"simulate.snr_db = \[3.0\]: means nothing"),
        (CSI, {"simulate": {"baselines": ["ml"]}}, "simulate.baselines = .*means nothing"),
        (FOREIGN, {"checks": {"max_loss_db": 0.3}}, r"without \[channel\] and \[csi\]"),
        (FOREIGN, {"checks": {"max_nmse_loss_db": 0.3}}, r"without \[channel\] and \[csi\]"),
        (FOREIGN, {"simulate": {"snr_db": [3]}}, r"simulate.snr_db = \[3.0\]: means nothing"),
        (
            FOREIGN,
            {"network": {"model": "n.onnx", "reference": "fullycon_float"}},
            "network.reference = 'fullycon_float': nothing is compared",
        ),
        (DEAF, {"checks": {"max_loss_db": 0.3}}, "max_loss_db = 0.3: needs network.reference"),
        (
            DETECTOR,
            {"checks": {"max_loss_db": 0.3}, "simulate": {"baselines": ["ml"]}},
            "needs 'float' in simulate.baselines",
        ),
        (
            DETECTOR,
            {"checks": {"max_loss_db": 0.3}, "compile": {"output": "soft"}},
            "needs compile.output = 'hard_pairs' or 'sign'",
        ),
        (
            CSI,
            {"checks": {"max_nmse_loss_db": 0.3}, "network": {"checkpoint": "c"}},
            "max_nmse_loss_db = 0.3: needs network.reference",
        ),
        (DETECTOR, {"simulate": {"disturb_seed": 9}}, "disturb_seed = 9: needs gap_probability"),
        (DETECTOR, {"channel": {"kind": "iid_gaussian", "rho": 0.2}}, "channel.rho = 0.2: only"),
        (
            CSI,
            {"csi": {**CSI["csi"], "data": "small", "seed": 4}},
            "csi.seed = 4: the samples of 'small' are not drawn",
        ),
    ],
)
def test_what_would_be_ignored_or_never_checked_is_refused(
    base: dict[str, Any], sections: dict[str, Any], message: str
) -> None:
    parse_build({"name": "demo", **base}, "b.toml")
    with pytest.raises(ConfigError, match=message) as caught:
        parse_build({"name": "demo", **base, **sections}, "b.toml")
    assert caught.value.exit_code == 2


def test_no_reference_is_taken_that_is_not_named() -> None:
    for base in (DEAF, {**CSI, "network": {"checkpoint": "c"}}, FOREIGN):
        assert parse_build({"name": "demo", **base}, "b.toml").network.reference is None


@pytest.mark.parametrize(
    "name",
    ["demo\n", "demo;touch", "demo top", "$(x)", "demo\0", "1demo", "", "d" * 65, "d\u00e9mo"],
)
def test_a_name_goes_into_scripts_and_is_matched_whole(name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        parse_build({"name": name, "network": {"checkpoint": "x"}}, "test")
