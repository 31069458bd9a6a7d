"""What a paste sends: text without control characters, between markers where the program asked for them."""

import re

BEGIN, END = b"\x1b[200~", b"\x1b[201~"

_LINE_END = re.compile("\r\n?")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """The text as a program will get it.

    CR LF and lone CR become LF; every C0 control but tab and LF, DEL, and every C1 control is removed; LF at
    the end is removed. Nothing else changes: no Unicode normalisation.
    """
    return _CONTROL.sub("", _LINE_END.sub("\n", text)).rstrip("\n")


def encode_paste(text: str, bracketed: bool) -> bytes:
    """The bytes of a paste. Without brackets each LF is CR, as if the lines were typed."""
    body = clean(text)
    if bracketed:
        return BEGIN + body.encode("utf-8", "replace") + END
    return body.replace("\n", "\r").encode("utf-8", "replace")
