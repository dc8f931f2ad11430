"""Write faults.rst: what can go wrong, what happens then, the tests that say so and their results.

    python -m pytest tests -k "test_f" --junitxml=faults.xml
    python docs/make_faults.py faults.xml

A test carries the number of its row: ``test_f044_duplicate_time``.
"""

import csv
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

FOLDER = Path(__file__).parent
NUMBER = re.compile(r"test_f(\d+)_")
HEAD = """\
.. This page is made by make_faults.py from faults.csv and the results of the tests.

Faults
======

What can go wrong with data, targets, time, training, files and machines, and what skrnn does then.
Every row has tests that carry its number. The results are those of {date}, of {n_tests} tests on a
machine without a GPU: {counts}. Of rows 101, 102 and 105 the code ran on the CPU, with faults
injected; nothing of them was run on a GPU.

.. list-table::
   :header-rows: 1
   :widths: 4 26 34 36

   * -
     - What goes wrong
     - What happens
     - Tests
"""

Results = dict[int, dict[str, Counter]]


def rows() -> list[dict[str, str]]:
    """Rows of the table: their number, the fault and what happens then."""
    with (FOLDER / "faults.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="|"))


def results(junit: ElementTree.Element) -> Results:
    """Count how each test ended, by the number in its name."""
    found: Results = defaultdict(lambda: defaultdict(Counter))
    for case in junit.iter("testcase"):
        name = case.attrib["name"].split("[")[0]
        number = NUMBER.match(name)
        if number:
            ends = {child.tag for child in case} & {"failure", "error", "skipped"}
            found[int(number[1])][name][min(ends, default="passed")] += 1
    return found


def tests_of(tests: Mapping[str, Counter]) -> str:
    """Name the tests of a row, with how often each ended how."""
    each = (
        f"``{name}`` ({', '.join(f'{n} {end}' for end, n in sorted(ends.items()))})"
        for name, ends in sorted(tests.items())
    )
    return ", ".join(each) or "none"


def page(found: Results, date: str) -> Iterator[str]:
    """Give the page, a piece at a time."""
    total = sum((ends for tests in found.values() for ends in tests.values()), Counter())
    counts = ", ".join(f"{n} {end}" for end, n in sorted(total.items()))
    yield HEAD.format(date=date, n_tests=total.total(), counts=counts)
    for row in rows():
        yield f"   * - {row['row']}\n     - {row['fault']}\n     - {row['answer']}\n"
        yield f"     - {tests_of(found[int(row['row'])])}\n"


def main() -> None:
    """Read the results and write the page beside this file."""
    junit = ElementTree.parse(sys.argv[1]).getroot()
    stamp = next(junit.iter("testsuite")).attrib["timestamp"]
    text = "".join(page(results(junit), stamp.split("T")[0]))
    (FOLDER / "faults.rst").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
