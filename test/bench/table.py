"""Rows of the result: a figure, what it is compared with, its targets, and how they are shown."""
import operator

import stats

COMPARE = {"<=": operator.le, ">=": operator.ge}
WORDS = {"<=": "at most", ">=": "at least"}


class Known:
    """A miss that nobody has a remedy for yet: why, and how far it may go before it is news."""

    def __init__(self, bound, reason):
        self.bound, self.reason = bound, reason


class Target:
    """A limit of a row's ratio to its peer, of its difference from it, or of its own value."""

    def __init__(self, what, compare, limit, known=None):
        assert what in ("ratio", "difference", "value") and compare in COMPARE
        self.what, self.compare, self.limit, self.known = what, compare, limit, known

    def judge(self, row):
        got, meets = row[self.what], COMPARE[self.compare]
        known = self.known and not meets(got, self.limit) and meets(got, self.known.bound)
        return {"what": self.what, "compare": self.compare, "limit": self.limit, "got": got,
                "met": meets(got, self.limit), "known": self.known.reason if known else None}


def make_row(name, title, ours, peer=None, peer_title=None, targets=()):
    """ours and peer are Series; the peer may be measured elsewhere in the same run."""
    low, high = ours.quartiles
    row = {"name": name, "title": title, "unit": ours.unit, "value": ours.median, "q1": low,
           "q3": high, "rounds": len(ours.samples), "samples": ours.samples, "peer": None}
    if peer:
        low, high = peer.quartiles
        row["peer"] = {"title": peer_title, "value": peer.median, "q1": low, "q3": high,
                       "samples": peer.samples}
        row["ratio"] = stats.ratio(ours, peer)
        row["difference"] = stats.difference(ours, peer)
    row["targets"] = [t.judge(row) for t in targets]
    return row


def number(x):
    """Three or four digits that mean something."""
    x = float(x)
    if abs(x) >= 100:
        return f"{x:.0f}"
    return f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"


def spread(row):
    return f"{number(row['value'])} ({number(row['q1'])}–{number(row['q3'])}) {row['unit']}"


def target_text(row, target):
    amount = f"{target['limit']:g}"
    if target["what"] != "ratio":
        amount += " " + row["unit"]
    if target["what"] == "difference":
        amount += " more"
    verdict = "met" if target["met"] else "**missed**"
    if target["what"] == "difference":
        verdict += f" ({target['got']:+.1f})"
    return f"{WORDS[target['compare']]} {amount}: {verdict}"


HEAD = ["figure", "kernel", "median (quartiles)", "floor or peer", "ratio", "target"]


def cells(row):
    peer = row["peer"]
    return [row["title"], row["flavour"], spread(row),
            f"{peer['title']}: {number(peer['value'])} {row['unit']}" if peer else "",
            f"{row['ratio']:.{2 if row['ratio'] >= 0.1 else 3}f}" if peer else "",
            "; ".join(target_text(row, t) for t in row["targets"])]


def groups(rows):
    """The rows of each group, groups and rows as they were first seen; kernels beside each other."""
    found = {}
    for row in rows:
        found.setdefault(row["group"], {}).setdefault(row["name"], []).append(row)
    return {group: [row for same in by_name.values() for row in same]
            for group, by_name in found.items()}


def markdown(rows):
    text = ""
    for group, members in groups(rows).items():
        lines = [HEAD, ["---"] * len(HEAD)] + [cells(row) for row in members]
        text += f"**{group}**\n\n"
        text += "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"
    return text


def plain(rows):
    text = ""
    for group, members in groups(rows).items():
        lines = [[group, *HEAD[1:]]] + [
            [cell.replace("*", "").replace("`", "") for cell in cells(row)] for row in members]
        widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
        text += "".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() + "\n"
                        for line in lines) + "\n"
    return text


def judged(rows):
    """Every target with its row."""
    return [(row, target) for row in rows for target in row["targets"]]


def missed(rows):
    return [(row, target) for row, target in judged(rows) if not target["met"]]


def news(rows):
    """What is missed and was not before: a step back."""
    return [(row, target) for row, target in missed(rows) if not target["known"]]


def reasons(rows):
    """Of known misses, each once: why."""
    found = {}
    for row, target in missed(rows):
        if target["known"]:
            found.setdefault(row["name"], f"* {row['title']}: {target['known']}\n")
    return "".join(found.values())
