"""Every generated page by its name. Owns: the list of pages, and which are behind the code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from z0.reference.configs import configs_page
from z0.reference.facts import facts_page
from z0.reference.limits import limits_page
from z0.reference.outcomes import outcomes_page
from z0.reference.schemas import claim_schema, command_schema, fact_schema
from z0.reference.settings import settings_page
from z0.reference.topics import topics_page

FOLDER: Final = Path("docs/reference")


def pages() -> Mapping[str, str]:
    """File name -> content."""
    return {
        "claim.schema.json": claim_schema(),
        "command.schema.json": command_schema(),
        "configs.md": configs_page(),
        "fact.schema.json": fact_schema(),
        "facts.md": facts_page(),
        "limits.md": limits_page(),
        "outcomes.md": outcomes_page(),
        "settings.md": settings_page(),
        "topics.md": topics_page(),
    }


def stale(folder: Path) -> list[str]:
    """The pages of a folder that are missing or not what the code says."""
    return [name for name, text in pages().items() if not (folder / name).is_file() or (folder / name).read_text() != text]
