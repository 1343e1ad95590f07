"""The page to watch, at ``/watch``: plain files of ``web/watch``, nothing of which needs a session.

The page itself asks for one and reads the same streams as any other client.  ``/`` leads there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

import web
from api.static_page import HEADERS, INDEX, StaticFile, answer, files_of

STATIC_DIR: Final = Path(web.__file__).parent / "watch"

router = APIRouter(include_in_schema=False)


def page_files() -> Mapping[str, StaticFile]:
    """Every file of the page by its path below ``web/watch``, with slashes."""
    return files_of(STATIC_DIR)


@router.api_route("/", methods=["GET", "HEAD"])
async def root() -> Response:
    """To the page; relative, so that it works behind a path prefix."""
    return RedirectResponse("watch", status_code=307, headers=HEADERS)


@router.api_route("/watch", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return answer(request, STATIC_DIR, INDEX)


@router.api_route("/watch/", methods=["GET", "HEAD"])
async def page_with_slash() -> Response:
    """Its relative links hold without the slash only."""
    return RedirectResponse("../watch", status_code=308, headers=HEADERS)


@router.api_route("/watch/{name:path}", methods=["GET", "HEAD"])
async def file(name: str, request: Request) -> Response:
    """One of the page's styles, scripts and pictures."""
    return answer(request, STATIC_DIR, name)
