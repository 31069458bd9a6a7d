"""Keys while a Hangul input method is on: the letter that stands on the same key of the two-set keyboard."""

_KEYS = dict(zip("ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ", "qwertyuiopasdfghjklzxcvbnm", strict=True))


def key_under(letter: str) -> str:
    """The lowercase key; shifted letters are never meant, since Shift leaves most jamo as they are."""
    return _KEYS.get(letter, letter)
