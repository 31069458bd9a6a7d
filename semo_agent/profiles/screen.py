"""What a profile says of the live screen: by which rows and titles a CLI shows that it can be typed to."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from semo_agent.terminals.base import Screen


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as err:
        raise ValueError(f"it is no regular expression: {err}") from err
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class ScreenRules(BaseModel):
    """Regular expressions, searched in the lowest `rows` rows that are not blank, and in the title.

    `composer`: the row of an empty composer. `working`: a row that is there only while it works. `dialog`: a row of a
    question that no hook tells, such as whether to trust a folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    rows: int = Field(default=8, ge=1, le=100)
    composer: Pattern | None = None
    title: Pattern | None = None
    working: Pattern | None = None
    working_title: Pattern | None = None
    dialog: Pattern | None = None

    @model_validator(mode="after")
    def _shows_readiness(self) -> "ScreenRules":
        if self.composer is None and self.title is None:
            raise ValueError("give composer or title: a positive sign that the program can be typed to")
        return self

    def shows_ready(self, screen: Screen) -> bool:
        """The composer is empty and nothing says that the program works."""
        rows = self._lowest(screen)
        return (
            (self.composer is None or _row_with(self.composer, rows) is not None)
            and (self.title is None or re.search(self.title, screen.title) is not None)
            and (self.working is None or _row_with(self.working, rows) is None)
            and (self.working_title is None or re.search(self.working_title, screen.title) is None)
        )

    def question(self, screen: Screen) -> str | None:
        """The row of a dialog; None: there is none."""
        return None if self.dialog is None else _row_with(self.dialog, self._lowest(screen))

    def _lowest(self, screen: Screen) -> Sequence[str]:
        return [row.text for row in screen.rows if row.text.strip()][-self.rows :]


def _row_with(pattern: str, rows: Sequence[str]) -> str | None:
    return next((row for row in reversed(rows) if re.search(pattern, row)), None)
