# SPDX-License-Identifier: Apache-2.0
"""What README.md and docs/ refer to is there: links, files, modules and names in inline code."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT, code_spans, links

from fpga_builds.config import BuildConfig, Strict

TOPS = ("docs", "models", "quant", "hls", "fpga_builds", "tests")
PATH = re.compile(rf"(?:{'|'.join(TOPS)})/[\w./*<>{{}},-]*")
DOTTED = re.compile(r"(?:models|quant|hls|fpga_builds)(?:\.\w+)+")
KERNEL = re.compile(r"phy_\w+")
VARIABLE = re.compile(r"PHYFOLD_[A-Z0-9_]+")


def once(pattern: re.Pattern[str]) -> dict[str, str]:
    """What matches ``pattern`` at the start of inline code: text to the first place."""
    found: dict[str, str] = {}
    for place, text in code_spans():
        if match := pattern.match(text):
            found.setdefault(match[0].rstrip("."), place)
    return found


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere() -> None:
    missing = []
    for page, place, target in links():
        if target.startswith(("https://", "http://")):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            missing.append(f"{place}: {target}")
    assert not missing
    assert len(links()) > 30


def test_files_in_inline_code_are_there() -> None:
    """``<name>`` and ``*`` stand for any name, ``{a,b}`` for either."""
    found = once(PATH)
    missing = [f"{place}: {text}" for text, place in found.items() if not exists(text)]
    assert not missing
    assert len(found) > 40


def exists(text: str) -> bool:
    group = re.search(r"\{([\w,]+)\}", text)
    if group:
        return all(exists(text.replace(group[0], part)) for part in group[1].split(","))
    return any(ROOT.glob(re.sub(r"<\w+>", "*", text).rstrip("/")))


def test_modules_and_names_in_inline_code_are_there() -> None:
    missing = [f"{place}: {text}" for text, place in once(DOTTED).items() if not known(text)]
    assert not missing
    assert len(once(DOTTED)) > 20


def known(dotted: str) -> bool:
    """Whether it is a module of ours, or a name in one, or in a class there."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for name in parts[count:]:
            found = getattr(found, name, None) or getattr(found, "__dataclass_fields__", {}).get(
                name
            )
            if found is None:
                return False
        return True
    return False


def test_kernels_in_inline_code_are_there() -> None:
    files = {path.stem for path in (ROOT / "hls").glob("**/*.sv")}
    missing = [f"{place}: {text}" for text, place in once(KERNEL).items() if text not in files]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_has_one_title(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def keys_of_builds() -> dict[str, str]:
    """The table of keys in docs/flow.md: key to what stands as its default."""
    text = (ROOT / "docs" / "flow.md").read_text(encoding="utf-8")
    table = text[text.index("| key | default |") : text.index("A key that means nothing")]
    found = {}
    for names, defaults, _ in re.findall(r"^\| (`.*?) \| (.*?) ?\| (.*) \|$", table, re.MULTILINE):
        keys = re.findall(r"`([\w.]+)`", names)
        values = defaults.split(", ") if len(keys) > 1 else [defaults]
        values += [""] * (len(keys) - len(values))
        section = keys[0].rpartition(".")[0]
        for key, value in zip(keys, values, strict=True):
            found[key if "." in key or not section else f"{section}.{key}"] = value.strip("` ")
    return found


def test_every_key_of_a_build_is_in_the_table_with_its_default() -> None:
    shown = keys_of_builds()
    expected = {}
    for name, section in BuildConfig.model_fields.items():
        kinds = [section.annotation, *getattr(section.annotation, "__args__", ())]
        models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Strict)]
        fields = models[0].model_fields if models else {}
        expected |= {f"{name}.{key}": field.default for key, field in fields.items()}
        if not fields:
            expected[name] = section.default
    assert sorted(shown) == sorted(expected)
    numbers = {k: v for k, v in expected.items() if isinstance(v, int | float)}
    wrong = {
        k: (shown[k], v) for k, v in numbers.items() if k != "csi.seed" and float(shown[k]) != v
    }
    assert not wrong
    texts = {k: v for k, v in expected.items() if isinstance(v, str) and v and k != "csi.data"}
    assert {k: shown[k] for k in texts} == texts


def sources() -> str:
    """All of our Python, and the Makefile."""
    files = [path for top in TOPS[1:-1] for path in (ROOT / top).glob("**/*.py")]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*files, ROOT / "Makefile"])


def test_options_and_variables_in_inline_code_are_ones_of_ours() -> None:
    """Options stand in our sources as whole strings, also those that we give to other tools."""
    text = sources()
    options = {span.split()[0]: place for place, span in code_spans() if span.startswith("--")}
    names = {name: place for place, span in code_spans() for name in VARIABLE.findall(span)}
    missing = [f"{place}: {word}" for word, place in options.items() if f'"{word}"' not in text]
    missing += [f"{place}: {name}" for name, place in names.items() if name not in text]
    assert not missing
    assert len(options) > 20
    assert len(names) > 5
