#!/usr/bin/python3
"""The arithmetic, the judgements and the texts of the benchmark, without measuring anything."""
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import growth  # noqa: E402
import readme  # noqa: E402
import start  # noqa: E402
import stats  # noqa: E402
import table  # noqa: E402

Series = stats.Series


def row(ours, peer=None, targets=(), name="a"):
    made = table.make_row(name, "`run`", Series("ms", ours), Series("ms", peer) if peer else None,
                          "floor" if peer else None, targets)
    return {"group": "Start", "flavour": "debian", **made}


def result(rows):
    return {"made": "2020-01-01T00:00:00Z", "rounds": 10, "repeated": [], "acceleration": "tcg",
            "versions": ["one 1", "two 2"], "rows": rows,
            "noise": Series("", [0.01, 0.02, 0.5]).describe(),
            "machine": {"processors": 2, "model": "some", "memory_mib": 4096, "kernel": "6.1"}}


class Statistics(unittest.TestCase):
    def test_the_median_and_the_quartiles(self):
        series = Series("ms", [5, 1, 3, 2, 4])
        self.assertEqual(series.median, 3)
        self.assertEqual(series.quartiles, (2, 4))
        self.assertEqual(Series("ms", [7]).quartiles, (7, 7))

    def test_a_ratio_is_of_neighbours_in_time(self):
        # The machine became ten times as slow half way: no round's ratio is other than 2.
        ours, peer = Series("ms", [2, 4, 20, 60]), Series("ms", [1, 2, 10, 30])
        self.assertEqual(stats.ratio(ours, peer), 2)
        self.assertEqual(stats.difference(ours, peer), 6)

    def test_a_ratio_to_what_had_other_rounds_is_of_medians(self):
        self.assertEqual(stats.ratio(Series("ms", [2, 4, 6]), Series("ms", [1, 3])), 2)

    def test_each_comes_first_as_often_as_last(self):
        orders = ["".join(stats.in_turn("AB", n)) for n in range(8)]
        self.assertEqual(orders, ["AB", "BA", "BA", "AB", "BA", "AB", "AB", "BA"])

    def test_first_rounds_are_dropped(self):
        calls = iter(range(100))
        series = stats.take_turns({"a": lambda: next(calls)}, 3, "ms", warm_up=2)
        self.assertEqual(series["a"].samples, [2, 3, 4])

    def test_the_machine_is_prepared_for_each_call(self):
        calls = []
        stats.take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, "ms",
                         warm_up=0, prepare=lambda: calls.append("-"))
        self.assertEqual("".join(calls), "-a-b-b-a")

    def test_points_of_growth_begin_and_end_where_they_should(self):
        self.assertEqual(growth.points(20, 5), [1, 4, 8, 12, 16, 20])
        self.assertEqual(growth.points(50, 2), [1, 25, 50])

    def test_phases_are_found_in_a_debug_log(self):
        log = ('time="..." level=debug msg="+345.1 ms: timeline: verb     launch    2.1     14.9"\n'
               'time="..." level=debug msg="something else"\n'
               'time="..." level=debug msg="+345.1 ms: timeline: monitor  qmp-ready  31.0  48.2"\n')
        self.assertEqual(start.PHASE.findall(log), [("verb", "launch", "2.1", "14.9"),
                                                    ("monitor", "qmp-ready", "31.0", "48.2")])

    def test_increments(self):
        self.assertEqual(stats.increments([10, 13, 17]), [3, 4])


class Judgement(unittest.TestCase):
    def verdicts(self, *args):
        return [t["met"] for t in row(*args)["targets"]]

    def test_a_known_miss_is_a_miss_but_no_news_until_it_goes_further(self):
        known = table.Known(2.0, "as it is")
        rows = [row([ours], [1], [table.Target("ratio", "<=", 1.5, known)]) for ours in (1.5, 2, 2.1)]
        self.assertEqual([len(table.missed([r])) for r in rows], [0, 1, 1])
        self.assertEqual([len(table.news([r])) for r in rows], [0, 0, 1])
        self.assertEqual([table.reasons([r]).count("as it is") for r in rows], [0, 1, 0])

    def test_a_target_is_met_at_its_limit_and_missed_beyond(self):
        self.assertEqual(self.verdicts([150], [100], [
            table.Target("ratio", "<=", 1.5), table.Target("ratio", "<=", 1.49),
            table.Target("ratio", ">=", 1.5), table.Target("ratio", ">=", 1.51),
            table.Target("difference", "<=", 50), table.Target("difference", "<=", 49),
            table.Target("value", "<=", 150), table.Target("value", "<=", 149)]),
            [True, False] * 4)

    def test_what_is_missed_is_listed(self):
        good = row([1], targets=[table.Target("value", "<=", 1)])
        bad = row([2], targets=[table.Target("value", "<=", 1)])
        self.assertEqual([r is bad for r, _ in table.missed([good, bad])], [True])
        self.assertEqual(len(table.judged([good, bad])), 2)


class Texts(unittest.TestCase):
    def test_a_row_has_its_figures_and_its_verdict(self):
        made = row([150, 150], [100, 100], [table.Target("ratio", "<=", 1.4),
                                            table.Target("difference", "<=", 60)])
        self.assertEqual(table.cells(made), [
            "`run`", "debian", "150 (150–150) ms", "floor: 100 ms", "1.50",
            "at most 1.4: **missed**; at most 60 ms more: met (+50.0)"])

    def test_rows_of_both_kernels_stand_beside_each_other(self):
        rows = [row([1], name="a"), row([2], name="b"), {**row([3], name="a"), "flavour": "tuned"}]
        self.assertEqual([r["value"] for r in table.groups(rows)["Start"]], [1, 3, 2])

    def test_readme_gets_the_table_between_its_marks_and_nothing_else_changes(self):
        text = f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n"
        made = result([row([1.5], [1], [table.Target("ratio", "<=", 1.5)])])
        new = readme.rewritten(text, made)
        self.assertTrue(new.startswith("before\n" + readme.BEGIN))
        self.assertTrue(new.endswith(readme.END + "\nafter\n"))
        self.assertNotIn("old", new)
        self.assertIn("2% busy (at most 50%", new)
        self.assertEqual(readme.faults(new), [])
        self.assertEqual(readme.rewritten(new, made), new)
        with self.assertRaises(ValueError):
            readme.rewritten("no marks", made)

    def test_faults_of_a_table_are_seen(self):
        def inside(line):
            return readme.faults(f"{readme.BEGIN}\n{line}\n{readme.END}")

        self.assertIn("no table", inside("nothing")[0])
        self.assertIn("2 cells", inside("| a | b |")[0])
        self.assertIn("neither met", inside("| a | b | c | d | e | at most 3 |")[0])

    def test_readme_has_a_table_and_the_pictures_that_it_shows(self):
        root = os.path.join(HERE, "../..")
        with open(os.path.join(root, "README.md"), encoding="utf-8") as f:
            text = f.read()
        self.assertEqual(readme.faults(text), [])
        for picture in re.findall(r"!\[[^]]*\]\((test/bench/[^)]+)\)", text):
            self.assertTrue(os.path.isfile(os.path.join(root, picture)), picture)


if __name__ == "__main__":
    unittest.main()
