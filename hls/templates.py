# SPDX-License-Identifier: Apache-2.0
"""Generated text: Jinja2 templates of HDL, filled in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def render(template: Path, **values: Any) -> str:
    """The text of a template; a value that it names and does not get is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (HDL, not HTML)
    )
    return environment.get_template(template.name).render(**values)
