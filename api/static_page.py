"""A page as a directory of plain files, none of which needs a session.

All files are read once, so a request can name only what is there, and nothing is looked up on disk for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from api.errors import ApiError

INDEX: Final = "index.html"

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Scripts, styles and connections of this origin and nothing else; no inline script, no form that is sent anywhere, no
#: frame around it.  With trusted types required and none allowed, no text can become markup, whoever wrote it.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Asked for again each time, and answered 304 while it has not changed: a page is never half old.
    "cache-control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory."""

    body: bytes
    etag: str
    media_type: str


@cache
def files_of(directory: Path) -> Mapping[str, StaticFile]:
    """Return every file of a page by its path below ``directory``, with slashes."""
    return {
        path.relative_to(directory).as_posix(): _read(path)
        for path in sorted(directory.rglob("*"))
        if path.suffix in MEDIA_TYPES
    }


def page_router(name: str, directory: Path) -> APIRouter:
    """Return the routes of a page at ``/{name}`` whose files lie in ``directory``."""
    router = APIRouter(include_in_schema=False)

    @router.api_route(f"/{name}", methods=["GET", "HEAD"])
    async def page(request: Request) -> Response:
        return answer(request, directory, INDEX)

    # The page's relative links hold without the slash only.
    @router.api_route(f"/{name}/", methods=["GET", "HEAD"])
    async def page_with_slash() -> Response:
        return RedirectResponse(f"../{name}", status_code=308, headers=HEADERS)

    router.include_router(files_router(name, directory))
    return router


def files_router(name: str, directory: Path) -> APIRouter:
    """Return the route of the files in ``directory``, each below ``/{name}/``."""
    router = APIRouter(include_in_schema=False)

    @router.api_route(f"/{name}/{{file:path}}", methods=["GET", "HEAD"])
    async def file_of_page(file: str, request: Request) -> Response:
        return answer(request, directory, file)

    return router


def answer(request: Request, directory: Path, name: str) -> Response:
    """Answer with a file of a page.  Raises ``ApiError``: ``not_found``."""
    found = files_of(directory).get(name)
    if found is None:
        raise ApiError("not_found")
    headers = HEADERS | {"etag": found.etag}
    if found.etag in _etags(request.headers.get("if-none-match", "")):
        return Response(status_code=304, headers=headers)
    return Response(found.body, media_type=found.media_type, headers=headers)


def _read(path: Path) -> StaticFile:
    body = path.read_bytes()
    return StaticFile(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"', MEDIA_TYPES[path.suffix])


def _etags(header: str) -> list[str]:
    """Return what an ``If-None-Match`` names, weak tags (of proxies that compress) as strong ones."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]
