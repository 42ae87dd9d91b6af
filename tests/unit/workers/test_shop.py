"""The shop's database: made once, by whoever comes first, and written by many at once without a complaint."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.project.repository import ROOT
from tests.servers import PATIENCE_S
from workers import opening, shop
from workers.places import shop_database

MANY_ORDERS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.servers import PATIENCE_S
from tests.unit.workers.asking import done
from workers import shop

shop._BUSY_S = PATIENCE_S  # SQLite's turns are not fair, and eight seconds can pass on a busy machine

def order(number):
    run = f"{sys.argv[1]}-{number}"
    items = [{"sku": "PROD-001", "quantity": 1}]
    address = {"street": "s", "city": "c", "zip": "1", "country": "US"}
    done("inventory.reserve", ref=f"{run}/reserve", hold_ref=f"{run}/reserve", order=run, items=items)
    done("shipping.create", ref=f"{run}/ship", shipment_ref=f"{run}/ship", order=run, address=address, items=items)
    done("notifications.send", ref=f"{run}/notify", message_ref=f"{run}/notify", customer="C", about=run,
         template="order_confirmed")

with ThreadPoolExecutor(32) as pool:
    print(len(list(pool.map(order, range(250)))))
"""


def run_elsewhere(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_new_shop_is_stocked_and_its_past_orders_stand():
    assert shop.available() == opening.STOCK
    assert shop.miscounted() == []
    assert {order: standing.paid for order, standing in shop.standing().items()} == {
        order.order_id: order.total for order in opening.PAST_ORDERS
    }


def test_the_shop_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert shop_database() == tmp_path / ".sagarun" / "shop.db"
    monkeypatch.setenv("SHOP_DB", str(tmp_path / "elsewhere" / "corner.db"))
    shop.available()
    assert (tmp_path / "elsewhere" / "corner.db").exists()
    assert not (tmp_path / ".sagarun").exists()


def test_eight_processes_that_come_first_make_one_shop(project: Path):
    code = "from workers import shop; print(sum(shop.available().values()))"
    processes = [run_elsewhere(code) for _ in range(8)]
    said = {process.communicate(timeout=PATIENCE_S) for process in processes}
    assert said == {(f"{sum(opening.STOCK.values())}\n", "")}
    assert {file.name for file in (project / ".sagarun").iterdir()} <= {"shop.db", "shop.db-wal", "shop.db-shm"}


def test_a_transaction_that_raises_leaves_nothing():
    class Interrupted(BaseException):
        """As AlreadyUndone is: no Exception."""

    def sell_everything() -> None:
        with shop.transaction() as db:
            db.execute("UPDATE stock SET available = 0")
            raise Interrupted

    with pytest.raises(Interrupted):
        sell_everything()
    assert shop.available() == opening.STOCK


def test_a_transaction_that_has_only_read_so_far_keeps_other_writers_waiting():
    """Else one of two that read first could never write: what it read would be out of date."""
    with shop.transaction() as db:
        db.execute("SELECT * FROM stock").fetchall()
        with closing(sqlite3.connect(shop_database(), timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
            other.execute("BEGIN IMMEDIATE")


def test_a_reader_does_not_wait_for_a_writer():
    written, seen = threading.Event(), threading.Event()

    def write() -> None:
        with shop.transaction() as db:
            db.execute("UPDATE stock SET available = 0")
            written.set()
            assert seen.wait(PATIENCE_S)
            db.execute("ROLLBACK")
            db.execute("BEGIN")

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        assert written.wait(PATIENCE_S)
        assert shop.available() == opening.STOCK
        seen.set()
        writer.result()


def test_a_miscount_is_noticed():
    with shop.transaction() as db:
        db.execute("UPDATE stock SET available = available - 1 WHERE sku = 'PROD-002'")
    assert shop.miscounted() == ["PROD-002"]


def test_the_shop_of_another_version_is_refused():
    with shop.transaction() as db:
        db.execute("PRAGMA user_version = 99")
    shop.close()
    with pytest.raises(RuntimeError, match="another version"):
        shop.available()


def test_a_thousand_orders_at_once_from_four_processes_and_nobody_is_turned_away():
    processes = [run_elsewhere(MANY_ORDERS, str(number)) for number in range(4)]
    said = [process.communicate(timeout=2 * PATIENCE_S) for process in processes]
    assert said == [("250\n", "")] * 4
    assert shop.available()["PROD-001"] == opening.STOCK["PROD-001"] - 1_000
    assert shop.miscounted() == []
