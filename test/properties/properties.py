#!/usr/bin/python3
"""Every property of the specification's schema is decided, and README says the same.

usage: properties.py SCHEMA-DIRECTORY CASES README

CASES is a JSON list; each case names the properties that it is about ("at"), what becomes of them
("is": applied, refused or warned) and how that is shown; bats/properties.bats runs them. README has
one table between the two marks, with the properties in its first column and the verdict in the
second. Exit status 1, and a line for each fault, where one of the three differs from another.
"""
import json
import os
import re
import sys

VERDICTS = ("applied", "refused", "warned")
BEGIN, END = "<!-- properties -->", "<!-- /properties -->"


class Schema:
    def __init__(self, directory):
        self.directory = directory
        self.files = {}

    def load(self, name):
        if name not in self.files:
            with open(os.path.join(self.directory, name)) as f:
                self.files[name] = json.load(f)
        return self.files[name]

    def resolve(self, name, reference):
        file, _, pointer = reference.partition("#")
        node = self.load(file or name)
        for key in filter(None, pointer.split("/")):
            node = node[key]
        return file or name, node

    def leaves(self, name, node, path=""):
        """The paths below a node that have no properties of their own; "[]" is each element."""
        if "$ref" in node:
            return self.leaves(*self.resolve(name, node["$ref"]), path)
        found = {}
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in node.get(keyword, []):
                found.update(self.leaves(name, part, path))
        for key, value in node.get("properties", {}).items():
            below = f"{path}.{key}" if path else key
            found.update(self.leaves(name, value, below) or {below: None})
        if isinstance(node.get("items"), dict):
            found.update(self.leaves(name, node["items"], path + "[]"))
        return found


def covers(name, leaf):
    """A name is about a property, or, with ".*" at its end, about all below it."""
    return leaf == name or (name.endswith(".*") and re.match(
        re.escape(name[:-2]) + r"(\.|\[\]|$)", leaf) is not None)


def decide(rows, leaf):
    """The verdict of the most exact row, or None."""
    fitting = [(len(name), verdict) for name, verdict in rows if covers(name, leaf)]
    return max(fitting)[1] if fitting else None


def rows_of_cases(cases, faults):
    rows = []
    for case in cases:
        if case.get("is") not in VERDICTS:
            faults.append(f"a case of {case.get('at')} has the verdict '{case.get('is')}'")
        # A wrong value, or another kind of host: not what README tells of the property.
        if not case.get("also"):
            rows += [(name, case.get("is")) for name in case["at"]]
    return rows


def rows_of_readme(path, faults):
    with open(path) as f:
        text = f.read()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        faults.append(f"README: '{BEGIN}' and '{END}' must stand there once each")
        return []
    rows = []
    for line in text.split(BEGIN)[1].split(END)[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 3 and cells[1] in VERDICTS:
            rows += [(name, cells[1]) for name in expand(cells[0])]
    return rows


def expand(cell):
    """`a.b`, `.c`, `.d[].e`: what begins with a dot goes on from the object of the first name."""
    names = re.findall(r"`([^`]+)`", cell)
    parent = names[0].removesuffix(".*").rpartition(".")[0] if names else ""
    return [parent + name if name.startswith(".") else name for name in names]


def main():
    directory, cases_path, readme = sys.argv[1:]
    faults = []
    schema = Schema(directory)
    leaves = list(schema.leaves("config-schema.json", schema.load("config-schema.json")))
    with open(cases_path) as f:
        cases = json.load(f)
    tested = rows_of_cases(cases, faults)
    told = rows_of_readme(readme, faults)
    if len(leaves) < 200:
        faults.append(f"the schema has {len(leaves)} properties only: the walk has lost its way")
    for leaf in leaves:
        test, tell = decide(tested, leaf), decide(told, leaf)
        if test is None:
            faults.append(f"{leaf}: no case shows what becomes of it")
        if tell is None:
            faults.append(f"{leaf}: README says nothing of it")
        if test and tell and test != tell:
            faults.append(f"{leaf}: {test} in the cases, {tell} in README")
    for name, _ in tested + told:
        if not any(covers(name, leaf) for leaf in leaves):
            faults.append(f"{name}: the schema has no such property")
    for fault in faults:
        print(fault)
    print(f"{len(leaves)} properties, {len(cases)} cases, {len(faults)} faults")
    return 1 if faults else 0


sys.exit(main())
