"""Compares what an Autobahn run reported with verdicts.txt, in both directions: better is as different as worse."""

import argparse
import json
import pathlib
import re
import sys

COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED", "MISSING"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=pathlib.Path, required=True)
    parser.add_argument("--roles", nargs="+", required=True)
    parser.add_argument("--drivers", nargs="+", required=True)
    parser.add_argument("--problems", nargs="+", default=[], help="failures of the run itself")
    options = parser.parse_args()

    verdicts = read_verdicts(pathlib.Path(__file__).with_name("verdicts.txt"))
    passed, failures, rows = 0, list(options.problems), []
    for role in options.roles:
        directory = options.reports / role
        expected = select(verdicts, json.loads((directory / "spec.json").read_text()))
        index = directory / "index.json"
        reported = json.loads(index.read_text()) if index.exists() else {}
        for driver in options.drivers:
            seen = {
                case: (result["behavior"], result["behaviorClose"])
                for case, result in reported.get(driver, {}).items()
            }
            missing = expected.keys() - seen.keys()
            rows.append((role, driver, "behavior", [b for b, _ in seen.values()], len(missing)))
            rows.append((role, driver, "close", [c for _, c in seen.values()], len(missing)))
            for case in sorted(expected.keys() | seen.keys(), key=case_order):
                if expected.get(case) == seen.get(case):
                    passed += 1
                else:
                    failures.append(
                        f"{role} {driver} {case}: expected {show(expected.get(case))}, seen {show(seen.get(case))}"
                    )
    if not passed and not failures:
        failures.append("no case matches the pattern")

    for failure in failures:
        print("FAILED", failure)
    print_table(rows)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


def read_verdicts(path):
    verdicts = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            case, behavior, close = line.split()
            verdicts[case] = (behavior, close)
    return verdicts


def select(verdicts, spec):
    """The verdicts on the cases of a specification, whose patterns mean here what they mean to the suite."""
    return {
        case: verdict
        for case, verdict in verdicts.items()
        if any(matches(pattern, case) for pattern in spec["cases"])
        and not any(matches(pattern, case) for pattern in spec["exclude-cases"])
    }


def matches(pattern, case):
    if "*" not in pattern:
        return pattern == case
    return re.match(pattern.replace(".", r"\.").replace("*", ".*"), case) is not None


def case_order(case):
    return [int(number) for number in case.split(".")]


def show(verdict):
    return "nothing" if verdict is None else "{} (close {})".format(*verdict)


def print_table(rows):
    line = "{:<7} {:<9} {:<9}" + " {:>13}" * len(COLUMNS)
    print(line.format("role", "driver", "", *COLUMNS))
    for role, driver, aspect, values, missing in rows:
        counts = dict.fromkeys(COLUMNS, 0) | {"MISSING": missing}
        for value in values:
            # The suite has several words for a bad close (WRONG CODE, UNCLEAN, FAILED BY CLIENT): all are failures.
            counts[value if value in counts else "FAILED"] += 1
        print(line.format(role, driver, aspect, *counts.values()))


if __name__ == "__main__":
    sys.exit(main())
