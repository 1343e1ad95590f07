"""The page to watch, at ``/watch``: plain files of ``web/watch``, nothing of which needs a session.

The page itself asks for one and reads the same streams as any other client.  ``/`` leads there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import Response
from starlette.responses import RedirectResponse

import web
from api.static_page import HEADERS, page_router

STATIC_DIR: Final = Path(web.__file__).parent / "watch"

router = page_router("watch", STATIC_DIR)


@router.api_route("/", methods=["GET", "HEAD"])
async def root() -> Response:
    """Redirect to the page; relative, so that it works behind a path prefix."""
    return RedirectResponse("watch", status_code=307, headers=HEADERS)
