"""What is being written, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID


@dataclass(frozen=True)
class Composer:
    """Drafts by session. The target is latched at the first character: nothing but sending or leaving releases it."""

    writing: bool = False
    target: UUID | None = None
    drafts: Mapping[UUID, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return self.drafts.get(self.target, "") if self.target else ""

    @property
    def latched(self) -> bool:
        return self.writing and bool(self.text)

    def begin(self, target: UUID) -> "Composer":
        return replace(self, writing=True, target=target)

    def follow(self, selected: UUID | None) -> "Composer":
        """The selection went elsewhere."""
        return self if self.latched else replace(self, target=selected)

    def edit(self, text: str) -> "Composer":
        return self if self.target is None else self.keep(self.target, text)

    def keep(self, session_id: UUID, text: str) -> "Composer":
        """The draft of a session is this text now."""
        others = {known: draft for known, draft in self.drafts.items() if known != session_id}
        return replace(self, drafts={**others, session_id: text} if text else others)

    def leave(self, selected: UUID | None) -> "Composer":
        return replace(self, writing=False, target=selected)
