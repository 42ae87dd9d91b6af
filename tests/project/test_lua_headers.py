"""Every Lua script says in its header what it reads, writes and returns; here the header is held to the body.

One atomic transition a file, named by a verb. The header's form: purpose, KEYS, ARGV, DERIVED, RETURNS.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from runner.store.keys import Keys
from runner.store.scripts import Scripts, load_script
from tests.lua import FOLDER, LuaScript, read_script, script_names

ADMITS = {"start_runs", "post_requests"}  # bring new work, so a full server refuses them
VERBS = ("start", "take", "commit", "park", "post", "exchange", "beat", "register", "reap", "begin", "fire", "expire",
         "rearm", "forget", "release", "note", "read")
LISTS = ("runs", "commits", "requests", "queues", "quotas", "completions", "tasks", "releases")
WRITES = ("HSET", "HDEL", "RPUSH", "LPUSH", "LPOP", "LREM", "ZADD", "ZREM", "SADD", "SREM", "DEL", "UNLINK")


@pytest.fixture(params=script_names())
def script(request: pytest.FixtureRequest) -> LuaScript:
    return read_script(request.param)


def test_a_script_is_named_by_a_verb(script: LuaScript):
    assert script.name.partition("_")[0] in VERBS


def test_a_script_has_a_purpose_and_says_what_it_returns(script: LuaScript):
    assert script.purpose.endswith(".")
    assert script.returns


def test_a_full_server_refuses_new_work_only(script: LuaScript):
    assert script.flags == ("#!lua" if script.name in ADMITS else "#!lua flags=allow-oom")


def test_the_body_names_the_keys_of_the_header_in_their_order(script: LuaScript):
    assert script.keys[0] == ("clock", "hash")
    bound = re.search(r"^local ([a-z_, ]+) = unpack\(KEYS\)$", script.body, re.MULTILINE)
    names = [_lua_name(name) for name, _ in script.keys]
    found = bound[1].split(", ") if bound is not None else ["clock"]
    assert [name.removesuffix("_key") for name in found] == names


def test_the_body_checks_the_types_of_the_header_before_it_writes(script: LuaScript):
    check = re.search(r"refuse_types\(\{([^}]*)\}\)", script.body)
    assert check is not None
    assert re.findall(r"'(\w+)'", check[1]) == [kind for _, kind in script.keys]
    first_write = min((script.body.find(f"'{command}'") for command in WRITES if f"'{command}'" in script.body),
                      default=len(script.body))
    assert check.start() < script.body.index("refuse_arguments()") < first_write


def test_derived_keys_are_those_that_the_body_builds(script: LuaScript):
    built = set(re.findall(r"prefix \.\. '([a-z:]+):'", script.body))
    if re.search(r"slot_keys\(|admit_waiting\(", script.body):  # the prelude builds them
        built |= {"slot", "holders", "line"}
    if "push_tasks(" in script.body:
        built |= {"q", "wake:q"}
    assert built == {name.split(":<")[0] for name, _ in script.derived}


def test_the_python_function_passes_the_keys_of_the_header(script: LuaScript):
    """Called with one value for every parameter, through a stand-in for the connection."""
    calls: list[tuple[str, tuple[str, ...], tuple[object, ...]]] = []

    class Recorder(Scripts):
        def _call(self, name, keys, args, *, admits=False):  # type: ignore[no-untyped-def]
            calls.append((name, tuple(keys), tuple(args)))
            assert admits is (name in ADMITS)
            raise InterruptedError

    keys = Keys("ns")
    function = getattr(Recorder(None, keys, None), script.name)  # type: ignore[arg-type]
    parameters = inspect.signature(function).parameters
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())
    with pytest.raises(InterruptedError):
        function(**{name: _value(name) for name in parameters})
    (called,) = calls
    assert called[0] == script.name
    expected = [re.sub(r"<\w+>", "someone", name) for name, _ in script.keys]
    assert [key.removeprefix(keys.prefix) for key in called[1]] == expected
    # Lists of arguments come last, with their lengths; all before them is one argument each. ARGV 1 is the clock.
    fixed = [name for name in script.argv if name not in LISTS]
    lists = len(script.argv) - len(fixed)
    assert len(called[2]) == len(fixed) - 1 + lists


def test_every_script_has_a_function_and_no_function_lacks_a_script():
    functions = {name for name, _ in inspect.getmembers(Scripts, inspect.isfunction) if not name.startswith("_")}
    assert functions == set(script_names())


def test_a_script_is_loaded_with_the_prelude_after_its_flags():
    source = load_script("take_runs").source
    assert source.startswith("#!lua flags=allow-oom\n-- Shared by every script")
    assert source.rstrip().endswith("return answer")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.lua")), ids=lambda path: path.stem)
def test_users_bytes_are_never_decoded_in_lua(path: Path):
    """Only what our own code packs around a commit or a successor is, and what users wrote is text in it."""
    text = path.read_text("utf-8")
    assert not re.search(r"cjson|cmsgpack|loadstring|tostring", text.replace("cmsgpack.unpack(packed)", ""))
    assert ("cmsgpack" in text) is (path.stem in ("commit_runs", "exchange_tasks"))


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.lua")), ids=lambda path: path.stem)
def test_lua_lines_are_of_readable_length(path: Path):
    assert [line for line in path.read_text("utf-8").split("\n") if len(line) > 120] == []


def _lua_name(name: str) -> str:
    """wake:runs is bound as wake_runs, held:<process> as held."""
    return name.split(":<")[0].replace(":", "_")


def _value(parameter: str) -> object:
    if parameter in LISTS:
        return {} if parameter == "quotas" else []
    return "someone" if parameter in ("process", "engine", "nonce", "run_id", "etag") else 1
