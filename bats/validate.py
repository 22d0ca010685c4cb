#!/usr/bin/python3
"""validate.py SCHEMA FILE: is the JSON document in FILE what the specification's SCHEMA says?

SCHEMA is the name of a file in test/data/schema. Exit status 0 or, with every violation on standard
error, 1. The interpreter is the system's: Debian's python3-jsonschema belongs to it."""
import json
import pathlib
import sys

import jsonschema


def main():
    folder = pathlib.Path(__file__).resolve().parent.parent / 'test' / 'data' / 'schema'
    path = folder / sys.argv[1]
    schema = json.loads(path.read_text())
    document = json.loads(pathlib.Path(sys.argv[2]).read_text())
    resolver = jsonschema.RefResolver(path.as_uri(), schema)
    validator = jsonschema.Draft4Validator(schema, resolver=resolver)
    errors = list(validator.iter_errors(document))
    for error in errors:
        where = '/'.join(str(part) for part in error.absolute_path)
        print(f'{sys.argv[2]}: {where}: {error.message}', file=sys.stderr)
    return 1 if errors else 0


sys.exit(main())
