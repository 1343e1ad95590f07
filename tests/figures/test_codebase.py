"""The figures of a small codebase; and what must hold of ours."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import ROOT
from tests.figures.codebase import Codebase
from tests.test_circles import circles

FILES = {
    "cellar/__init__.py": "",
    "cellar/wine.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from cellar.rack import Rack\n",
    "cellar/rack.py": "from cellar import wine\n",
    "attic/__init__.py": "",
    "attic/box.py": "import os\n\ndef open_it():\n    from cellar.wine import Wine\n    import cellar.rack\n",
    "sdk/guest/__init__.py": "from guest.coat import Coat\n",
    "sdk/guest/coat.py": "import json\n",
    "tests/test_box.py": "import attic.box\n",
    "notes/plan.py": "import attic.box\n",
}


def small(path: Path) -> Codebase:
    for name, text in FILES.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Codebase(path)


def test_rooms_are_packages_the_sdks_among_them(tmp_path: Path) -> None:
    code = small(tmp_path)
    assert {room: len(names) for room, names in code.rooms.items()} == {"attic": 2, "cellar": 3, "guest": 2}
    assert code.lines("cellar.wine") == 3


def test_imports_count_wherever_they_stand(tmp_path: Path) -> None:
    code = small(tmp_path)
    assert code.imports["attic.box"] == {"cellar.wine", "cellar.rack"}
    assert code.pairs() == {("attic", "cellar"): 2}


def test_a_circle_behind_type_checking_is_one(tmp_path: Path) -> None:
    assert circles(small(tmp_path).imports) == [["cellar.rack", "cellar.wine"]]


def test_our_rooms_have_one_direction() -> None:
    code = Codebase(ROOT)
    pairs = code.pairs()
    assert len(code.rooms) > 10
    assert not [pair for pair in pairs if pair[::-1] in pairs]
