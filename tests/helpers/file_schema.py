"""The JSON Schema of search-space files and its validator, made once in a process."""

from __future__ import annotations

import jsonschema

from visiontune.spec.schema.json_schema import json_schema

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
