"""Field types of request bodies and parameters that several endpoints share."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Path
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from api.accounts.passwords import MAX_CHARS as PASSWORD_MAX_CHARS
from api.accounts.passwords import MIN_CHARS as PASSWORD_MIN_CHARS
from api.ids import AGENT_ID_PATTERN, CHUNK_ID_PATTERN, is_agent_id
from store.email_address import MAX_CHARS as EMAIL_MAX_CHARS
from store.email_address import BadEmail, normal_form

LABEL_MAX_CHARS: Final = 64
#: The end of the year 9999, and of PostgreSQL's bigint.
ENTRY_MS_MAX: Final = 253_402_300_799_999
ENTRY_NUMBER_MAX: Final = 2**63 - 1
ENTRY_ID_PATTERN: Final = r"^[0-9]{1,15}-[0-9]{1,19}$"


def _agent_id(text: str) -> str:
    if not is_agent_id(text):
        raise PydanticCustomError("agent_id", "not an agent id")
    return text


def _email(text: str) -> str:
    try:
        return normal_form(text)
    except BadEmail:
        raise PydanticCustomError("email", "not an e-mail address that can be used") from None


def _entry_id(text: str) -> str:
    parts = text.split("-")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise PydanticCustomError("entry_id", "not an entry id")
    if int(parts[0]) > ENTRY_MS_MAX or int(parts[1]) > ENTRY_NUMBER_MAX:
        raise PydanticCustomError("entry_id", "not an entry id")
    return text


def _utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("moment", "not a moment between the years 1 and 9999") from None


def one_line(text: str) -> str:
    """Return ``text``; raises ``PydanticCustomError`` where it has line breaks or other control characters."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise PydanticCustomError("label", "control characters")
    return text


def _shown(pattern: str) -> dict[str, Any]:
    return {"pattern": pattern}


# The patterns are for the OpenAPI document; the functions decide, since `$` in a regular expression lets a newline in.
#: A chunk's id in a path.  What is none is found to be none there: it gets 404, as a chunk that does not exist.
ChunkIdPath = Annotated[str, Path(max_length=64, json_schema_extra={"pattern": CHUNK_ID_PATTERN})]
AgentIdField = Annotated[
    str, Field(min_length=1, max_length=128, json_schema_extra=_shown(AGENT_ID_PATTERN)), AfterValidator(_agent_id)
]
EmailField = Annotated[str, Field(min_length=3, max_length=EMAIL_MAX_CHARS), AfterValidator(_email)]
PasswordField = Annotated[str, Field(min_length=PASSWORD_MIN_CHARS, max_length=PASSWORD_MAX_CHARS, repr=False)]
LabelField = Annotated[str, Field(max_length=LABEL_MAX_CHARS), AfterValidator(one_line)]
EntryIdField = Annotated[
    str, Field(min_length=3, max_length=35, json_schema_extra=_shown(ENTRY_ID_PATTERN)), AfterValidator(_entry_id)
]
MomentField = Annotated[datetime, AfterValidator(_utc)]
