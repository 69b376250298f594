# SPDX-License-Identifier: Apache-2.0
"""Free text is shown as it stands: in Markdown, in HTML, in the README's table, on a terminal."""

from __future__ import annotations

import html
import io
import json
import logging
import re
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from fpga_builds import cli, runner, table, views
from fpga_builds.config import parse_build
from fpga_builds.flow import Flow, Step, StepOutput
from fpga_builds.markdown import as_markdown, escaped, markdown_code, markdown_row, markdown_text
from fpga_builds.progress import Reporter
from fpga_builds.report import render
from fpga_builds.runner import execute
from fpga_builds.storage import write_json
from fpga_builds.terminal import Terminal, styled, visible
from fpga_builds.views_builds import builds_table
from models.errors import ConfigError

MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})
HOSTILE = (
    "a | b", "`code`", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[text](http://x)",
    "![p](http://x/p.png)", "http://evil.example", "www.evil.example", "a@evil.example", "# head",
    "- item", "1. item", "1) item", "> quote", "**bold**", "_it_", "~~gone~~", "&lt;b&gt;", "\\",
    "a\n\n# head", "a\r\nb", "$x$", "=== x", "--- x", "+ x", "<!-- results:end -->", "a\\|b", "``",
    "![][x]", "[x]: http://x", "mailto:a@b.example", "| - | - |", "\x1b[2Jx", "\u202eabc", "a_b_c",
)  # fmt: skip


def tokens(source: str) -> list[Token]:
    """All tokens of a Markdown text, those within lines too."""
    found = []
    for token in MARKDOWN.parse(source):
        found += [token, *(token.children or [])]
    return found


def plain(text: str) -> str:
    return " ".join(visible(" ".join(text.split())).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_the_text_and_nothing_else(text: str) -> None:
    found = tokens(f"{markdown_text(text)}\n")
    assert [
        t.type for t in found if t.nesting or t.type not in ("inline", "text", "text_special")
    ] == [
        "paragraph_open",
        "paragraph_close",
    ]
    assert "".join(t.content for t in found if t.type.startswith("text")) == plain(text)
    assert "\n" not in markdown_text(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_stays_a_cell(text: str) -> None:
    source = "\n".join([markdown_row(["a", "b"]), markdown_row(["---"] * 2),
                        markdown_row([markdown_text(text), markdown_code(text)])])  # fmt: skip
    found = tokens(source)
    assert sum(t.type == "td_open" for t in found) == 2
    assert not [t.type for t in found if t.type in ("link_open", "image", "html_inline", "s_open")]
    assert MARKDOWN.render(source).count("</td>") == 2


@given(st.text())
def test_any_text_is_one_paragraph_of_itself(text: str) -> None:
    assume(text.strip() != "-")  # what stands for a missing number in a cell, and stays readable
    found = tokens(f"{markdown_text(text)}\n")
    assert "".join(t.content for t in found if t.type.startswith("text")) == plain(text)
    assert {t.type for t in found} <= {
        "paragraph_open", "paragraph_close", "inline", "text", "text_special"
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["see http://evil.example", "HTTPS://e.example", "www.evil.example", "mailto:a@b.example"],
)
def test_what_pages_turn_into_links_is_broken_up(text: str) -> None:
    """GitHub links bare addresses where they stand in the source; a backslash within ends them."""
    written = markdown_text(text)
    assert not re.search(r"(?i)[a-z]://|www\.|mailto:", written)


def test_names_and_numbers_stay_readable() -> None:
    for text in ("fullycon_w4a4", "-", "1,234", "1.5e-04", "snr_loss_db", "LFE5U-85F", "0.5 %"):
        assert markdown_text(text) == text
    assert markdown_code("fullycon_w4a4") == "`fullycon_w4a4`"
    assert markdown_code("a`b") == "a\\`b"
    assert escaped(as_markdown("**FAILED**")) == "**FAILED**"
    assert escaped("**x**") == "\\*\\*x\\*\\*"
    assert escaped(3) == 3


# The report


def body(text: str) -> dict[str, Any]:
    """A report with ``text`` in every place that a file or a name of others can fill."""
    check = {"name": text, "value": 1.0, "rule": text, "passed": False}
    metric = {"name": text, "value": 1.0, "unit": text, "stage": text, "tool": text,
              "version": text, "reason": text}  # fmt: skip
    numbers = {"lut": 1, "ff": 1, "bram18": 1, "dsp": 1}
    row = {"name": text, **numbers, "estimate": numbers, "routed": numbers, "finn": numbers,
           "ratio": {"lut": None}}  # fmt: skip
    reference = {"title": text, "samples": 1, "nmse_db": -1.0, "ci95": [-1.0, -2.0], "rho": 0.9}
    return {
        "build": text, "description": text, "passed": False, "phyfold": text, "seed": 1,
        "frames": 1,
        "checks": [check], "curves": {}, "plots": {}, "layers": [{"name": text, "kind": text}],
        "csi": {"half": "encoder", "other": text, "data": text, "rtl": None,
                "references": {"x": reference}},
        "estimate_against_measurement": [
            {"name": text, "unit": text, "estimate": 1.0, "measured": 1.0, "ratio": None,
             "stage": text}
        ],
        "synthesis": [{"part": text, "version": text, "engine": text, "seconds": 1.0,
                       "netlist": None,
                       "layers": [row], "total": row, "utilisation": {text: 0.5}}],
        "bitstreams": [{"board": text, "bitstream": text, "bytes": 1, "part": text,
                        "fmax_mhz": 1.0,
                        "target_mhz": 1.0, "timing_met": False, "throughput_per_s": 1.0,
                        "critical_path_text": text, "selftest_simulated": True}],
        "remarks": [text], "metrics": [metric],
        "steps": [{"name": text, "seconds": 1.0, "versions": {text: text}}],
    }  # fmt: skip


def shape(source: str) -> list[str]:
    return [t.type for t in tokens(source) if not t.type.startswith("text")]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_report_in_markdown_keeps_its_form(tmp_path: Path, text: str) -> None:
    usual = render("report.md.j2", body("plain"), tmp_path)
    found = render("report.md.j2", body(text), tmp_path)
    assert shape(found) == shape(usual)
    assert "**FAILED**" in found
    assert "**MISSED**" in found


class Tags(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.text = ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, attrs))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment", data))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", [*HOSTILE, "\" onload='x'", "</title><script>", "{{ 7 * 7 }}"])
def test_a_report_in_html_keeps_its_form(tmp_path: Path, text: str) -> None:
    usual = Tags(render("report.html.j2", body("plain"), tmp_path))
    found = Tags(render("report.html.j2", body(text), tmp_path))
    assert found.tags == usual.tags
    assert html.unescape(text).split()[0] in html.unescape(found.text)


def test_no_template_switches_escaping_off() -> None:
    folder = Path(views.__file__).parent / "templates"
    for path in folder.glob("*.html.j2"):
        for word in ("safe", "autoescape", "as_markdown"):
            assert word not in path.read_text(), path.name
    marked = (folder / "report.md.j2").read_text().split("as_markdown")[:-1]
    assert all(piece.rstrip(" |").endswith('"') for piece in marked)  # constants alone


# The README's table


def report(name: str) -> dict[str, Any]:
    return {
        "build": name, "description": "", "phyfold": "0", "seed": 1, "frames": 10, "passed": True,
        "weights_sha256": "0", "checks": [], "metrics": [], "curves": {"rtl": [{"snr_db": 8.0,
        "ber": 1e-2, "ci95": [1e-3, 1e-1], "frames": 10}]}, "steps": [], "results": {},
        "config": {"compile": {"part": "x | <!-- results:end --> [l](http://x)"}},
    }  # fmt: skip


def test_the_table_escapes_what_reports_say(tmp_path: Path) -> None:
    write_json(tmp_path / "build" / "demo" / "report.json", report("demo"))
    assert table.collect(tmp_path / "build", tmp_path / "kept") == (["demo"], [])
    kept = json.loads((tmp_path / "kept" / "demo.json").read_text())
    write_json(tmp_path / "kept" / "demo.json", {**kept, "build": "de`mo | <b>x</b>"})
    text = table.table(tmp_path / "kept")
    assert table.END not in text
    assert not [t for t in tokens(text) if t.type in ("html_inline", "html_block")]
    assert {line.count(" | ") for line in text.splitlines() if line.startswith("|")} == {12}


@pytest.mark.parametrize("name", ["../../elsewhere", "/tmp/elsewhere", "a b", "", 7, "demo\n"])
def test_a_report_is_not_kept_under_a_foreign_name(tmp_path: Path, name: object) -> None:
    write_json(tmp_path / "build" / "demo" / "report.json", {**report("demo"), "build": name})
    with pytest.raises(ConfigError, match="is no name of a build"):
        table.collect(tmp_path / "build", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


# The terminal

MARKUP = (
    "o[/red]x",
    "[red]x[/red]",
    "[link=x]y[/link]",
    ":smile:",
    "[bold",
    "[/]",
    "\x1b[31mx",
)


def printed(item: object) -> str:
    console = Terminal(file=io.StringIO(), width=400)
    console.print(item)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("text", MARKUP)
def test_a_terminal_shows_text_as_it_is(text: str) -> None:
    assert visible(text) in printed(text)
    assert visible(text) in printed(styled("a ", (text, "red")))
    figures = dict.fromkeys(("metric", "lut", "bram18", "dsp", "throughput_per_s", "latency_us"))
    row = {"build": text, "part": text, "report": True, "passed": False, "newer_results": [text]}
    assert printed(builds_table([{**row, **figures}])).count(visible(text)) == 3
    row = {"name": text, "stage": "s", "unit": text, "a": 1.0, "b": 2.0, "change": 1.0,
           "verdict": "worse"}  # fmt: skip
    assert printed(views.compare_table(text, text, [row])).count(visible(text)) == 6
    console = Terminal(file=io.StringIO(), width=400)
    checks = [{"name": text, "value": 1.0, "rule": text, "passed": True}]
    views.show_report(console, {"checks": checks, "remarks": [text], "plots": {}}, Path(text))
    assert console.file.getvalue().count(visible(text)) == 4  # type: ignore[attr-defined]


def test_nothing_that_a_terminal_obeys_is_printed() -> None:
    text = "a\x1b[2J\x07\x9b\u202e\udcff\r\0b"
    assert visible(text) == r"a\x1b[2J\x07\x9b\u202e\udcff\r\x00b"
    assert visible("a\n\tb \u00e9\u4e2d") == "a\n\tb \u00e9\u4e2d"


@pytest.mark.parametrize("text", [*MARKUP, "a\x07b"])
def test_messages_and_logs_show_text_as_it_is(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    handler = signal.getsignal(signal.SIGTERM)
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    try:
        assert execute(cli.app, ["compare", "a", text.replace("\x1b", "").replace("\x07", "")]) == 2
        runner._fail("config", text, text, machine=False)
        logging.getLogger("hls").warning("says %s", text)
    finally:
        signal.signal(signal.SIGTERM, handler)
        root.setLevel(before[0])
        root.handlers[:] = before[1]
    err = capsys.readouterr().err
    assert err.count(visible(text)) >= 3
    assert "\x1b" not in err
    assert "\x07" not in err


def test_a_folder_whose_name_is_markup(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def work(context: Any) -> StepOutput:
        (context.folder / "a").write_text("a")
        return StepOutput({"a": "a"})

    step = Step("first", 1, "makes [bold]a[/bold]", (), ("a",), lambda _c: 0, work)
    config = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
    for _ in range(2):
        Flow((step,), config, tmp_path / "o[/red]x", reporter=Reporter()).run("first")
    err = capsys.readouterr().err
    assert err.count("o[/red]x/01-first") == 2
    assert "makes [bold]a[/bold]" in err
