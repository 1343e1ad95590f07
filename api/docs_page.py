"""The HTTP endpoints to read, at ``/docs``: a page of our own that draws ``/openapi.json``.

The framework's page takes its scripts from elsewhere, so it is blank without the internet, and runs what others serve.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import web
from api.static_page import page_router

STATIC_DIR: Final = Path(web.__file__).parent / "docs"

router = page_router("docs", STATIC_DIR)
