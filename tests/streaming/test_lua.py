"""Scripts in files: what a file declares is what its text reads and what its callers give."""

from __future__ import annotations

import ast
import asyncio
import importlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from api import keys as api_keys
from streaming import keys, lua
from streaming.batch import RedisBatch
from streaming.lua import GIVEN, ROOT, Call, Script, Word, code_names, declarations, load, queue, run, run_all

ROOMS = ("api", "cluster", "operations", "streaming")
FILES = sorted(str(path.relative_to(ROOT)) for room in ROOMS for path in (ROOT / room).rglob("*.lua"))
#: What stands before every script of a world with a name, so that ``KEYS`` are without it.
HEAD = "streaming/named_world.lua"

#: What a script may use without defining it: Lua's words and functions, Redis', and ``server`` of the namespace.
LUA_WORDS = (
    "and break do else elseif end false for function if in local nil not or repeat return then true until while "
    "error ipairs math pairs pcall string tonumber tostring unpack cjson redis server"
)


def read(path: str) -> str:
    return (ROOT / path).read_text()


def body(path: str) -> str:
    """The code of a file: without its comments."""
    return re.sub(r"--[^\n]*", "", read(path))


# -- files --


def includes(path: str) -> set[str]:
    """Every file that a file includes, at whatever remove."""
    direct = set(declarations(read(path)).get("include", ()))
    return direct.union(*map(includes, direct))


@pytest.mark.parametrize("path", FILES)
def test_what_a_file_declares_it_reads_and_nothing_else(path: str) -> None:
    declared = declarations(read(path))
    args = declared.get("args", ())
    tail = args[-1][1:] if args and args[-1].startswith("*") else None
    assert set(declared) <= {"keys", "args", "include", tail}
    names = [*declared.get("keys", ()), *(arg.lstrip("*") for arg in args)]
    assert len(set(names)) == len(names)
    assert not [name for name in names if not re.fullmatch(r"[a-z]\w*", name)]
    code = code_names(read(path))
    assert not [name for name in names if name not in code]
    assert "KEYS" not in code or path == HEAD
    # By its place only what is in the tail, from the tail's first word on.
    assert not re.search(r"ARGV\[\d|unpack\(ARGV\)|unpack\(ARGV, \d", body(path))
    assert "ARGV" not in code or tail


def defined(path: str) -> set[str]:
    """Names that a file's code defines: locals, parameters, variables of loops."""
    code = body(path)
    places = (r"\blocal ([\w, ]+)", r"\bfor ([\w, ]+) (?:in|=)", r"\bfunction\s*[\w.]*\(([\w, .]*)\)")
    heads = [head for place in places for head in re.findall(place, code)]
    return {name for head in heads for name in re.findall(r"\w+", head)}


@pytest.mark.parametrize("path", FILES)
def test_what_a_file_reads_is_declared_or_defined(path: str) -> None:
    """Lua itself would say so only when it comes to the line."""
    declared = declarations(read(path))
    known = {name.lstrip("*") for place in ("keys", "args") for name in declared.get(place, ())} | defined(path)
    known = known.union(*map(defined, includes(path)))
    without_strings = re.sub(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"", "''", body(path))
    used = set(re.findall(r"(?<![\w.])([a-z_]\w*)", without_strings))
    if path == HEAD:
        known.add("places")
    assert used - known - set(LUA_WORDS.split()) == set()


@pytest.mark.parametrize("path", FILES)
def test_the_items_of_a_tail_are_read_whole(path: str) -> None:
    declared = declarations(read(path))
    tail = declared.get("args", ("",))[-1].removeprefix("*")
    group = declared.get(tail)
    if group is None:
        return
    steps = re.findall(rf"for i = {tail}, #ARGV, (\d+) do", body(path))
    reads = re.findall(r"local ([\w, ]+) = unpack\(ARGV, i, i \+ (\d+)\)", body(path))
    assert steps
    assert set(steps) == {str(len(group))}
    assert {tuple(names.split(", ")) for names, _ in reads} == {group}
    assert {last for _, last in reads} == {str(len(group) - 1)}


@pytest.mark.parametrize("path", FILES)
def test_no_line_is_longer_than_in_python(path: str) -> None:
    assert [line for line in read(path).splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("path", FILES)
def test_of_what_a_file_includes_it_uses_something(path: str) -> None:
    for other in declarations(read(path)).get("include", ()):
        assert set(re.findall(r"^local function (\w+)", body(other), re.M)) & set(code_names(read(path))), other


def test_no_key_is_spelled_in_a_script() -> None:
    """What keys begin with comes from ``streaming.keys`` and ``api.keys``."""
    literal = re.compile(r"'[a-z:]+:' \.\.|call\('[A-Z]+', '[a-z][^']*'")
    spelled = [(path, found) for path in FILES for found in literal.findall(body(path))]
    assert spelled == []


def test_a_key_is_what_it_begins_with_and_an_id() -> None:
    """So that a script may make it of the one and the other."""
    names = {name for path in FILES for name in code_names(read(path)) if name.isupper()} - GIVEN
    made = [
        vars(module)[name.lower()] for module in (keys, api_keys) for name in names if hasattr(module, name.lower())
    ]
    assert len(made) > 20
    assert [key("") + "x" for key in made] == [key("x") for key in made]


# -- callers --


def modules() -> Iterator[ModuleType]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def loaded() -> dict[str, Script]:
    """Every script by its file, as the module has it that loads it."""
    found: dict[str, Script] = {}
    for module in modules():
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="load"), args=[path, *_])):
                    pass
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=ast.Name(id="load"), args=[path, *_])):
                    pass
                case _:
                    continue
            file = ast.literal_eval(path)
            assert file not in found, f"{file} is loaded twice"
            assert Path(file).parent == Path(str(module.__file__)).relative_to(ROOT).parent, f"{file} is elsewhere"
            found[file] = getattr(module, name)
    return found


def fragments() -> set[str]:
    """Files whose text Python itself puts before scripts."""
    texts = [Path(str(module.__file__)).read_text() for module in modules()]
    return {path for text in texts for path in re.findall(r"\bfragment\(\"([\w/.]+)\"", text)}


def calls() -> Iterator[tuple[Script, set[str | None], str]]:
    """Every call of a script: the names given (None: ``**``) and where it is."""
    for module in modules():
        path = Path(str(module.__file__))
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            match node.func:
                case ast.Name(id=name):
                    script = vars(module).get(name)
                case ast.Attribute(value=ast.Name(id=owner), attr=name):
                    script = getattr(vars(module).get(owner), name, None)
                case _:
                    continue
            if isinstance(script, Script):
                assert not node.args
                yield script, {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"


def test_each_script_is_called_with_exactly_its_names() -> None:
    scripts = loaded()
    called: set[str] = set()
    for script, given, where in calls():
        assert given == set(script.names), where
        called.add(script.sha)
    assert [file for file, script in scripts.items() if script.sha not in called] == []


def test_each_file_is_a_script_or_part_of_one() -> None:
    scripts = loaded()
    parts = set().union(*map(includes, FILES), fragments())
    assert set(FILES) == set(scripts) | parts
    assert not set(scripts) & parts


# -- commits --


def test_an_operation_of_a_commit_is_as_long_as_its_names() -> None:
    """``*words`` is of items of many lengths: each is read by name, and is of so many words in ``Batch``."""
    branch = re.compile(r"if (?:op|kind) == '(.)' then(.*?)(?=\n {2,4}else|\n {4}end\n {4}if not ok)", re.S)
    read_by_name: dict[str, int] = {}
    for op, code in branch.findall(body("streaming/commit.lua")):
        [(names, last)] = re.findall(r"local ([\w, ]+) = unpack\(ARGV, i \+ 1, i \+ (\d)\)", code)
        assert len(names.split(", ")) == int(last)
        assert "ARGV" not in code.replace("unpack(ARGV, i + 1", "")
        if step := re.findall(r"i = i \+ (\d)", code):
            assert step == [str(int(last) + 1)]
        read_by_name[op] = int(last)
    written: dict[str, int] = {}
    for node in ast.walk(ast.parse((ROOT / "streaming/commit.py").read_text())):
        if isinstance(node, ast.AugAssign) and isinstance(node.value, ast.Tuple):
            first, *words = node.value.elts
            for letter in [n.value for n in ast.walk(first) if isinstance(n, ast.Constant)]:
                assert isinstance(letter, str)
                written[letter] = len([word for word in words if ast.unparse(word) != "''"])
    assert written == read_by_name
    assert len(written) == 16


# -- sending --


SET = Script("set", "redis.call('SET', KEYS[1], ARGV[1])\nreturn redis.call('INCR', 'runs')", ("key",), ("value",))
FAILS = Script("fails", "redis.call('INCR', 'runs')\nreturn redis.call('INCR', 'list')")


async def test_a_server_that_does_not_know_a_script_runs_it_once(redis: Redis) -> None:
    await redis.script_flush()
    for n in range(1, 4):
        assert await run(redis, SET(key="k", value=n)) == n
    assert await redis.get("k") == b"3"
    assert (await redis.info("commandstats"))["cmdstat_eval"]["calls"] >= 1


async def test_a_pipeline_sends_a_missing_source_once(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what the server has run already is not sent again."""
    await run(redis, SET(key="k", value=0))
    await redis.script_flush()
    sent: list[str] = []
    real: Callable[[Call], tuple[Word, ...]] = Call.words_with_source.fget  # type: ignore[attr-defined]

    def noted(call: Call) -> tuple[Word, ...]:
        sent.append(call.script.name)
        return real(call)

    monkeypatch.setattr(Call, "words_with_source", property(noted))
    answers = await run_all(redis, [SET(key="k", value=1), ("INCR", "runs"), SET(key="k", value=2), FAILS(), FAILS()])
    assert sent == ["set", "fails"]
    assert answers[:3] == [3, 2, 4]
    assert await redis.get("k") == b"2"
    await redis.delete("list")
    await redis.lpush("list", 1)
    failed, fine = await run_all(redis, [FAILS(), SET(key="k", value=3)])
    assert isinstance(failed, ResponseError)
    assert fine == 8


async def test_calls_of_many_connections_reach_a_server_that_has_forgotten(redis: Redis) -> None:
    batch = RedisBatch(redis)
    await batch.run(SET(key="k", value=0))
    await redis.script_flush()
    counts = await asyncio.gather(*(batch.run(SET(key="k", value=n)) for n in range(300)))
    assert sorted(counts) == list(range(2, 302))
    await batch.close()


async def test_a_transaction_does_all_of_it_though_the_script_is_not_known(redis: Redis) -> None:
    await redis.script_flush()
    async with redis.pipeline(transaction=True) as pipe:
        queue(pipe, SET(key="k", value=1))
        pipe.set("other", 2)
        assert await pipe.execute() == [1, True]
    assert await redis.get("k") == b"1"


# -- the loader --


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr(lua, "ROOT", tmp_path)

    def write(name: str, *lines: str) -> None:
        (tmp_path / name).write_text("\n".join(lines) + "\n")

    return write


async def test_names_are_what_the_body_reads(file: Callable[..., None], redis: Redis) -> None:
    file("part.lua", "-- include: deeper.lua", "local function part() return deeper() .. PART end")
    file("deeper.lua", "local function deeper() return AGENT .. MOST end")
    file(
        "all.lua",
        "-- Not a name: this is prose.  -- args: none",
        "-- keys: one, two",
        "-- args: a, b",
        "-- args: *items",
        "-- items: x, y",
        "-- include: part.lua, deeper.lua",
        "-- args come before the code, and NOTHING here is looked up",
        "local found = {one, two, a, b, part() .. deeper(), 'NOR here'}",
        "for i = items, #ARGV, 2 do",
        "  local x, y = unpack(ARGV, i, i + 1)",
        "  found[#found + 1] = x .. y",
        "end",
        "return found",
    )
    script = load("all.lua", PART="p", MOST=7)
    assert script.names == ("one", "two", "a", "b", "items")
    call = script(b=2, a=1, two="k2", one="k1", items=[("x", "y"), ("z", 3)])
    assert (call.keys, call.args) == (("k1", "k2"), (1, 2, "x", "y", "z", 3))
    assert await run(redis, call) == [b"k1", b"k2", b"1", b"2", b"agent:7pagent:7", b"NOR here", b"xy", b"z3"]


def test_a_call_with_other_names_says_which(file: Callable[..., None]) -> None:
    file("s.lua", "-- keys: k", "-- args: a, *items", "-- items: x, y", "return {k, a, items, ARGV[items]}")
    script = load("s.lua")
    with pytest.raises(TypeError, match="s takes k, a, items, not k, b"):
        script(k="k", b=1)
    with pytest.raises(TypeError, match="each of items is x, y"):
        script(k="k", a=1, items=[("x", "y", "z")])


@pytest.mark.parametrize(
    ("code", "constants", "says"),
    [
        ("return NOWHERE", {}, "NOWHERE is neither a key nor a constant"),
        ("return 1", {"MOST": 1}, "s.lua has no MOST"),
        ("return MOST", {"MOST": "it's"}, "not a name that a script can be given"),
    ],
)
def test_a_name_that_does_not_fit_is_found_when_the_script_is_loaded(
    file: Callable[..., None], code: str, constants: dict[str, Any], says: str
) -> None:
    file("s.lua", code)
    with pytest.raises(ValueError, match=says):
        load("s.lua", **constants)
