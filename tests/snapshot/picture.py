"""The screen of an app as SVG."""

import re
from typing import Any, Final

from textual.app import App

_TEXTUALS_OWN: Final = App.export_screenshot
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_FAMILY: Final = "font-family: 'NanumGothicCoding', 'D2Coding', 'Noto Sans Mono CJK KR', 'DejaVu Sans Mono', monospace"


def picture_of(app: App[Any], **options: Any) -> str:
    """As Textual draws it, without fonts from the network: in those that the reader has."""
    svg = _TEXTUALS_OWN(app, **options)
    return _FONTS.sub("", svg).replace("font-family: Fira Code, monospace", _FAMILY)
