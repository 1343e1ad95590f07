"""The counting of the house, on a small one; and what must hold of ours."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import ROOT
from tests.house.figures import House
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


def small(path: Path) -> House:
    for name, text in FILES.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return House(path)


def test_rooms_are_packages_the_sdks_among_them(tmp_path: Path) -> None:
    house = small(tmp_path)
    assert {room: len(names) for room, names in house.rooms.items()} == {"attic": 2, "cellar": 3, "guest": 2}
    assert house.lines("cellar.wine") == 3


def test_imports_count_wherever_they_stand(tmp_path: Path) -> None:
    house = small(tmp_path)
    assert house.imports["attic.box"] == {"cellar.wine", "cellar.rack"}
    assert house.pairs() == {("attic", "cellar"): 2}


def test_a_circle_behind_type_checking_is_one(tmp_path: Path) -> None:
    assert circles(small(tmp_path).imports) == [["cellar.rack", "cellar.wine"]]


def test_our_rooms_have_one_direction() -> None:
    house = House(ROOT)
    pairs = house.pairs()
    assert len(house.rooms) > 10
    assert not [pair for pair in pairs if pair[::-1] in pairs]
