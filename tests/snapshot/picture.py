"""The screen of an app as SVG, beside the one that is kept. `SEMO_DRAW=1` draws the kept ones anew; look at them."""

import os
import re
from pathlib import Path
from typing import Any, Final

from textual.app import App

DRAW: Final = "SEMO_DRAW"
PICTURES: Final = Path(__file__).parent / "pictures"
SEEN: Final = Path(__file__).parents[2] / ".pytest_cache" / "pictures"

_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_FAMILY: Final = "font-family: 'NanumGothicCoding', 'D2Coding', 'Noto Sans Mono CJK KR', 'DejaVu Sans Mono', monospace"


def picture_of(app: App[Any], **options: Any) -> str:
    """As Textual draws it, without fonts from the network: in those that the reader has."""
    svg = app.export_screenshot(**options)
    return _FONTS.sub("", svg).replace("font-family: Fira Code, monospace", _FAMILY)


def looks_as_kept(name: str, app: App[Any]) -> bool:
    """Whether the app looks as the picture of this name."""
    path = _path_of(name)
    return path.exists() and path.read_text(encoding="utf-8") == picture_of(app)


def check_picture(name: str, app: App[Any]) -> None:
    """Raises AssertionError when it does not look so."""
    if os.environ.get(DRAW):
        _path_of(name).write_text(picture_of(app), encoding="utf-8")
    # Not `assert`, which would print both.
    if not looks_as_kept(name, app):
        SEEN.mkdir(parents=True, exist_ok=True)
        seen = SEEN / f"{name}.svg"
        seen.write_text(picture_of(app), encoding="utf-8")
        raise AssertionError(f"{_path_of(name)} is not what {seen} shows; {DRAW}=1 draws it anew.")


def _path_of(name: str) -> Path:
    return PICTURES / f"{name}.svg"
