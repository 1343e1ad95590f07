"""``docs/asyncapi.yaml`` as data, and validators made of it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from jsonschema_rs import Draft7, Draft7Validator, Registry

ROOT: Final = Path(__file__).parents[2]
DOCUMENT: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
MESSAGES: Final[dict[str, Any]] = DOCUMENT["components"]["messages"]
SCHEMAS: Final[dict[str, Any]] = DOCUMENT["components"]["schemas"]

#: These have the payload beside them or below them, so they can't be closed.
OPEN_SCHEMAS: Final = ("Envelope", "FlatEvent", "SseFields")
FLAT_FIELDS: Final = ("type", "trace_id", "server_ts_ms")


def references(value: Any) -> Iterator[str]:
    """Every ``$ref`` in a part of the document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "$ref":
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(reference: str) -> Any:
    """What a ``$ref`` of this document names.  Raises ``KeyError``."""
    at: Any = DOCUMENT
    head, *names = reference.split("/")
    if head != "#":
        raise KeyError(reference)
    for name in names:
        at = at[name]
    return at


def component_name(kind: str, prefix: str = "") -> str:
    """``chunk_delta`` -> ``ChunkDelta``, with ``Ws`` or ``Sse`` before it for a message."""
    return prefix + "".join(part.capitalize() for part in kind.split("_"))


def _close(value: Any) -> None:
    """Forbid unknown fields in every object, so that a field which the document lacks is found."""
    if isinstance(value, dict):
        if value.get("type") == "object" and "properties" in value:
            value.setdefault("additionalProperties", False)
        for inner in value.values():
            _close(inner)
    elif isinstance(value, list):
        for inner in value:
            _close(inner)


@cache
def _registry(*, closed: bool) -> Registry:
    document = deepcopy(DOCUMENT)
    if closed:
        for name, schema in document["components"]["schemas"].items():
            if name not in OPEN_SCHEMAS:
                _close(schema)
    return Registry([("urn:asyncapi", document)], draft=Draft7)


@cache
def _validator(path: str, *, closed: bool) -> Draft7Validator:
    return Draft7Validator({"$ref": f"urn:asyncapi#/components/{path}"}, registry=_registry(closed=closed))


def faults(path: str, value: Any, *, closed: bool) -> list[str]:
    """What is wrong with ``value`` by ``components/{path}``; ``closed``: unknown fields too."""
    return [
        f"{path}: {list(error.instance_path)} {error.message[:200]}"
        for error in _validator(path, closed=closed).iter_errors(value)
    ]


def payload_faults(kind: str, payload: Any) -> list[str]:
    """What is wrong with a payload; a field that the document does not have is wrong."""
    return faults(f"schemas/{component_name(kind)}", payload, closed=True)


def ws_faults(message: dict[str, Any]) -> list[str]:
    """What is wrong with a message of a WebSocket, as its channel's reader gets it."""
    kind = message["type"]
    unknown = set(message) - {*SCHEMAS["Envelope"]["properties"]}
    return [
        *faults(f"messages/{component_name(kind, 'Ws')}/payload", message, closed=False),
        *payload_faults(kind, message["payload"]),
        *(f"envelope of {kind}: {name} is unknown" for name in unknown),
    ]


def sse_faults(kind: str, event_id: str | None, data: dict[str, Any]) -> list[str]:
    """What is wrong with a block of an event stream."""
    name = component_name(kind, "Sse")
    fields = {"event": kind} | ({} if event_id is None else {"id": event_id})
    is_private = "payload" in data
    payload = {key: value for key, value in data.items() if key not in FLAT_FIELDS and key != "payload"}
    return [
        *faults("schemas/SseFields", fields, closed=False),
        *faults(f"messages/{name}/payload", data, closed=False),
        *payload_faults(kind, payload),
        *([f"{kind}: flat and nested differ"] if is_private and data["payload"] != payload else []),
    ]
