"""The HTTP endpoints to read, at ``/docs``: a page of our own that draws ``/openapi.json``.

The framework's page takes its scripts from elsewhere, so it is blank without the internet, and runs what others serve.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

import web
from api.static_page import HEADERS, INDEX, answer

STATIC_DIR: Final = Path(web.__file__).parent / "docs"

router = APIRouter(include_in_schema=False)


@router.api_route("/docs", methods=["GET", "HEAD"])
async def page(request: Request) -> Response:
    """The page."""
    return answer(request, STATIC_DIR, INDEX)


@router.api_route("/docs/", methods=["GET", "HEAD"])
async def page_with_slash() -> Response:
    """Its relative links hold without the slash only."""
    return RedirectResponse("../docs", status_code=308, headers=HEADERS)


@router.api_route("/docs/{name:path}", methods=["GET", "HEAD"])
async def file(name: str, request: Request) -> Response:
    """Its style and its script."""
    return answer(request, STATIC_DIR, name)
