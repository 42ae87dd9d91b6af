"""The names of keys."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from runner.store.keys import Keys, fields_of


def all_keys(keys: Keys) -> list[str]:
    plain = [value for name, value in vars(keys).items() if name != "prefix"]
    made = [keys.run("r"), keys.history("r"), keys.queue("q"), keys.wake_queue("q"), keys.process("p"), keys.held("p")]
    return [*plain, *made]


def test_every_key_begins_with_the_namespace_in_one_hash_tag():
    assert all(key.startswith("{shop:00}:") for key in all_keys(Keys("shop")))


def test_all_keys_share_a_cluster_slot():
    assert len({key_slot(key.encode()) for key in all_keys(Keys("shop"))}) == 1


def test_no_two_keys_are_the_same():
    names = all_keys(Keys("shop"))
    assert len(set(names)) == len(names)


def test_namespaces_do_not_overlap():
    assert not set(all_keys(Keys("shop"))) & set(all_keys(Keys("shop2")))


def test_fields_of_a_kind_are_named_without_it():
    record = {b"w:n:a": b"1", b"w:": b"2", b"t:a": b"3", b"etag": b"4"}
    assert fields_of(record, "w:") == {"n:a": b"1", "": b"2"}


@pytest.mark.parametrize("namespace", ["a{b", "}"])
def test_a_namespace_cannot_move_the_hash_tag(namespace: str):
    with pytest.raises(ValueError, match="braces"):
        Keys(namespace)
