"""Results as tables and lists."""

from .case import MAY, MUST, RECORD
from .run import OMITS, SILENT, VIOLATES


def table(groups, cases, results, versions):
    """For each group and program: violations of what is required, omissions of what is optional."""
    names = list(results)
    lines = [
        "| | required | optional | " + " | ".join(versions[name] for name in names) + " |",
        "|---|--:|--:|" + "---|" * len(names),
    ]
    for group in groups:
        own = [case for case in cases if case.group == group.name]
        lines.append(row(group.title, own, [results[name] for name in names]))
    lines.append(row("**all**", cases, [results[name] for name in names]))
    return "\n".join(lines)


def row(title, cases, results):
    count = {kind: sum(case.kind == kind for case in cases) for kind in (MUST, MAY, RECORD)}
    cells = []
    for result in results:
        violations, omissions, unsaid = (
            sum(result[case.id]["verdict"] == verdict for case in cases) for verdict in (VIOLATES, OMITS, SILENT)
        )
        cells.append(f"{violations} violated, {omissions} omitted" + (f", {unsaid} n/a" if unsaid else ""))
    return f"| {title} | {count[MUST]} | {count[MAY]} | " + " | ".join(cells) + " |"


def differences(cases, results):
    """Every case in which the programs do not all do and score the same."""
    lines = []
    for case in cases:
        of_all = {name: result[case.id] for name, result in results.items()}
        ways = {(one["verdict"], *one["happened"]) for one in of_all.values()}
        if len(ways) == 1:
            continue
        lines.append(f"### {case.id} ({case.kind}, {case.source})")
        for name, one in of_all.items():
            failed = f" ({'; '.join(one['failed'])})" if one["failed"] else ""
            lines.append(f"- {name}: **{one['verdict']}**: {' · '.join(one['happened'])}{failed}")
        lines.append("")
    return "\n".join(lines)


def explain(cases, results, name):
    """What one program violates or omits, with what the others do."""
    lines = []
    for case in cases:
        own = results[name][case.id]
        if own["verdict"] not in (VIOLATES, OMITS):
            continue
        lines.append(f"{own['verdict']} {case.id} ({case.source})")
        lines.append(f"    {' · '.join(own['happened'])}")
        lines.extend(f"    not so: {words}" for words in own["failed"])
        others = [f"{other} {result[case.id]['verdict']}" for other, result in results.items() if other != name]
        lines.append(f"    others: {', '.join(others)}")
    return "\n".join(lines)
