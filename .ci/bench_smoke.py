"""Reads the report of a short `askonce bench` and fails when a scenario is missing or a request went wrong.

It says nothing about speed: a shared machine is no place to judge that. The figures are printed to be looked at.
"""

import json
import sys

SCENARIOS = {"passthrough", "exact_hit", "semantic_hit", "streaming"}


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        report = json.load(file)
    by_name = {row["scenario"]: row for row in report["scenarios"]}
    wrong = [f"{name} did not run: {skip['reason']}" for skip in report["skipped"] for name in (skip["scenario"],)]
    wrong += [f"{name} is missing from the report" for name in SCENARIOS - by_name.keys()]
    for name, row in by_name.items():
        shown = {key: row[key] for key in ("requests", "errors", "added_p50_us", "added_p99_us", "rps", "rss_peak_mb")}
        print(name, *(f"{key}={value}" for key, value in shown.items()))
        if row["errors"] or not row["requests"] or not row["rps"]:
            wrong.append(f"{name}: {row['errors']} errors in {row['requests']} requests: {row['faults']}")
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
