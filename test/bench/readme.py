"""README's table of figures, between two marks, made from the JSON file of a run."""
import table

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def circumstances(result):
    """Where and when, and how quiet it was: what a reader needs to judge the figures."""
    where, noise = result["machine"], result["noise"]
    repeated = f" Measured twice: {', '.join(result['repeated'])}." if result["repeated"] else ""
    return (f"Measured {result['made']}: {where['processors']} processors ({where['model']}), "
            f"{where['memory_mib'] // 1024} GiB, Linux {where['kernel']}, acceleration "
            f"{result['acceleration']}, {'; '.join(result['versions'])}. {result['rounds']} rounds. "
            f"Others kept the processors {noise['median']:.0%} busy (at most "
            f"{max(noise['samples']):.0%}, looked at between the parts).{repeated}")


def not_met(rows):
    reasons = table.reasons(rows)
    return f"Not at its target, and why:\n\n{reasons}\n" if reasons else ""


def rewritten(text, result):
    """The text with the table of this result between the marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no '{BEGIN}' with '{END}' after it")
    return (before + BEGIN + "\n" + circumstances(result) + "\n\n"
            + table.markdown(result["rows"]) + not_met(result["rows"]) + END + after)


def rewrite(path, result):
    with open(path, encoding="utf-8") as f:
        text = rewritten(f.read(), result)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def faults(text):
    """What is wrong with the table in a README: a row with too few cells, or a target of no verdict."""
    inner = text.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in inner.splitlines() if line.startswith("|")]
    found = [] if rows else [f"no table between '{BEGIN}' and '{END}'"]
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) != len(table.HEAD):
            found.append(f"{len(cells)} cells in place of {len(table.HEAD)}: {row}")
        elif cells[0] not in (table.HEAD[0], "---") and cells[-1] and not all(
                ": met" in t or ": **missed**" in t for t in cells[-1].split(";")):
            found.append(f"neither met nor missed: {row}")
    return found
