"""The screen of an app as SVG, beside the one that is kept. `SEMO_DRAW=1` draws the kept ones anew; look at them."""

import os
import re
from pathlib import Path
from typing import Any, Final

from textual.app import App

DRAW: Final = "SEMO_DRAW"
PICTURES: Final = Path(__file__).parent / "pictures"

_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_FAMILY: Final = "font-family: 'NanumGothicCoding', 'D2Coding', 'Noto Sans Mono CJK KR', 'DejaVu Sans Mono', monospace"


def picture_of(app: App[Any], **options: Any) -> str:
    """As Textual draws it, without fonts from the network: in those that the reader has."""
    svg = app.export_screenshot(**options)
    return _FONTS.sub("", svg).replace("font-family: Fira Code, monospace", _FAMILY)


def check_picture(name: str, app: App[Any]) -> None:
    """Whether the app looks as it is kept under this name. Raises AssertionError."""
    path, svg = PICTURES / f"{name}.svg", picture_of(app)
    if os.environ.get(DRAW):
        path.write_text(svg, encoding="utf-8")
    if not path.exists() or path.read_text(encoding="utf-8") != svg:
        # Not `assert`, which would print both.
        raise AssertionError(f"{path} shows something else; {DRAW}=1 draws it anew.")
