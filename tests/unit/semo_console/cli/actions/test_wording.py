import unicodedata

import pytest

from semo_console.cli.actions.wording import print_table


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_columns_are_aligned_by_cells_whatever_they_are_written_in(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hangul = "로그인" if form == "NFC" else unicodedata.normalize("NFD", "로그인")
    print_table([("a", hangul, "x"), ("b", "Login.", "y")])
    assert capsys.readouterr().out == f"a  {hangul}  x\nb  Login.  y\n"
