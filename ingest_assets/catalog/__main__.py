"""`python -m ingest_assets.catalog` prints the JSON Schema of a source file."""

import json

from ingest_assets.catalog.schema import json_schema

print(json.dumps(json_schema(), indent=1))
