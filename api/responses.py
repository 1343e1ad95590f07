"""Bodies of refusals, and how they appear in the OpenAPI document."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from pydantic import BaseModel, Field

from api.errors import STATUS_OF_REASON


class RefusalBody(BaseModel):
    """Every HTTP error."""

    detail: str = Field(description="A stable reason code.")


class RequestFault(BaseModel):
    """One thing that is wrong with a request; never the value itself."""

    loc: list[str | int] = Field(description="Where: `body`, `query` or `path`, then the field.")
    type: str = Field(description="What, as a code.")


class BrokenRule(BaseModel):
    """The same for people; read on as a sentence: `password` `has 8 characters at least`."""

    field: str = Field(description="The field's name, with dots into what it holds; `body` for the whole.")
    rule: str = Field(description="What holds for it.")


class InvalidRequestBody(RefusalBody):
    """A request of the wrong shape."""

    errors: list[RequestFault]
    fields: list[BrokenRule]


class Limited(RefusalBody):
    """Too many of something."""

    retry_after_ms: int = Field(description="When to try again; `Retry-After` has it in whole seconds.")


class RefusedBody(RefusalBody):
    """Something that can't be done as things are."""

    text: str | None = Field(None, description="One line that names the remedy, where there is more to say.")


class NotReadyBody(RefusalBody):
    """Why the gateway can't serve."""

    problems: list[str]


#: What any endpoint may answer.
ANYWHERE: Final = ("bad_request", "token_in_url", "body_too_large", "invalid_request", "internal_error", "unavailable")

MODEL_OF_STATUS: Final[dict[int, type[RefusalBody]]] = {409: RefusedBody, 422: InvalidRequestBody, 429: Limited}


def refusals(*reasons: str) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of an endpoint that may refuse for ``reasons``, or for what any endpoint may."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for reason in dict.fromkeys((*reasons, *ANYWHERE)):
        by_status[STATUS_OF_REASON[reason]].append(reason)
    return {
        status: {
            "model": MODEL_OF_STATUS.get(status, RefusalBody),
            "description": ", ".join(f"`{reason}`" for reason in found),
        }
        for status, found in sorted(by_status.items())
    }
