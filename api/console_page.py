"""The console of operators, at ``/console``: plain files of ``web/console``, nothing of which needs a token.

The page asks for one and calls the operators' API with it.  Its scripts also import from ``web/watch``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import web
from api.static_page import page_router

STATIC_DIR: Final = Path(web.__file__).parent / "console"

router = page_router("console", STATIC_DIR)
