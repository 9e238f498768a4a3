"""Reads the report of a short `askonce index bench` and fails when what is there is not found.

It says nothing about speed: a shared machine is no place to judge that. The figures are printed to be looked at.
"""

import json
import sys

LEAST = 0.98


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    print(*(f"{key}={value}" for key, value in report.items()))
    wrong = [f"{key} is {report[key]}" for key in ("p50_us", "restart_ms", "bytes_per_vector", "hits") if not report[key] > 0]
    if report["hit_recall"] < LEAST:
        wrong.append(f"hit_recall is {report['hit_recall']}, expected at least {LEAST}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
