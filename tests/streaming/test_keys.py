"""The names of Redis keys: no two functions make the same one, and streams' names tell what they are of.

That docs/architecture.md has them all is asked in ``tests/docs/test_architecture.py``.
"""

from __future__ import annotations

import inspect

from streaming import keys


def test_no_two_functions_make_the_same_key() -> None:
    functions = [function for _, function in inspect.getmembers(keys, inspect.isfunction)]
    made = [function(*["1"] * len(inspect.signature(function).parameters)) for function in functions]
    fixed = [value for name, value in vars(keys).items() if name.isupper() and not name.endswith("_PREFIX")]
    assert len(functions) > 12
    assert len({*made, *fixed}) == len(made) + len(fixed)


def test_the_prefix_of_a_stream_leads_back_to_what_it_is_of() -> None:
    assert keys.chunk_stream("chunk-7").removeprefix(keys.CHUNK_STREAM_PREFIX) == "chunk-7"
    assert keys.agent_stream("ada").removeprefix(keys.AGENT_STREAM_PREFIX) == "ada"
    assert not keys.ARCHIVE_STREAM.startswith((keys.CHUNK_STREAM_PREFIX, keys.AGENT_STREAM_PREFIX))
