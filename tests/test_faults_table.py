"""The table of faults: every row has a test, and every test a row."""

import csv
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "docs" / "faults.csv"
ROWS = csv.DictReader(TABLE.read_text("utf-8").splitlines(), delimiter="|")
NUMBERS = [int(row["row"]) for row in ROWS]


@pytest.fixture(scope="module")
def tested():
    found = set()
    for path in TESTS.rglob("test_*.py"):
        found |= set(re.findall(r"^ *def test_f(\d+)_", path.read_text("utf-8"), re.MULTILINE))
    return {int(number) for number in found}


def test_the_rows_are_numbered():
    assert list(range(1, len(NUMBERS) + 1)) == NUMBERS


def test_every_row_has_a_test(tested):
    assert sorted(set(NUMBERS) - tested) == []


def test_every_test_has_a_row(tested):
    assert sorted(tested - set(NUMBERS)) == []
