#!/usr/bin/env python3
"""The same requests and scripted answers through Substratum, squid, nginx, varnish and Traffic Server, measured against the
RFCs: who conforms, who leaves out an optimisation, who violates. See README.md."""

import argparse
import json
import shutil
import sys
from pathlib import Path

from conformance.cases import CASES, GROUPS
from conformance.origin import Origin
from conformance.programs import PROGRAMS, is_installed
from conformance.report import differences, explain, table
from conformance.run import VIOLATES, play_all
from servers import HERE


def main():
    arguments = parse()
    cases = [case for case in CASES if not arguments.case or any(case.id.startswith(start) for start in arguments.case)]
    work = arguments.out / "work-differential"
    shutil.rmtree(work, ignore_errors=True)
    results, versions = {}, {}
    for name in arguments.program or PROGRAMS:
        program = PROGRAMS[name]
        versions[name] = program.version(arguments.binary)
        # An origin each: what one program still has under way must not reach the next one's.
        with Origin() as origin, program(work / name, origin, arguments.binary) as server:
            results[name] = play_all(server, origin, cases)
            if server.process.poll() is not None:
                sys.exit(f"{name} did not survive, status {server.process.returncode}")
        print(f"{versions[name]}: {len(cases)} cases", file=sys.stderr)
    shutil.rmtree(work, ignore_errors=True)
    played = [group for group in GROUPS if any(case.group == group.name for case in cases)]
    text = table(played, cases, results, versions)
    print(text)
    if arguments.explain:
        print(explain(cases, results, arguments.explain))
    arguments.out.mkdir(exist_ok=True)
    report = {
        "versions": versions,
        "cases": {case.id: {"kind": case.kind, "source": case.source} for case in cases},
        "results": results,
    }
    (arguments.out / "differential.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "differential.md").write_text(f"{text}\n\n{differences(cases, results)}\n")
    ours = results.get("substratum", {})
    return sum(result["verdict"] == VIOLATES for result in ours.values()) > 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=HERE.parent / "target/release/substratum")
    parser.add_argument("--program", action="append", choices=PROGRAMS, help="may be repeated; default: all five")
    parser.add_argument("--case", action="append", metavar="START", help="only cases whose id starts so, such as vary/")
    parser.add_argument("--explain", choices=PROGRAMS, help="print what this program violates or omits, and what happened")
    parser.add_argument("--out", type=Path, default=HERE / "out", help="for differential.json and .md (default %(default)s)")
    arguments = parser.parse_args()
    missing = [name for name in arguments.program or PROGRAMS if not is_installed(name)]
    if missing:
        sys.exit(f"{', '.join(missing)} missing: apt-get install squid nginx-light varnish trafficserver, or name others with --program")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
