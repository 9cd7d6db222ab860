"""Writes the JSON Schema of bundles from their types: python -m schema.bundle"""

import json
from pathlib import Path

from schema.bundle.document import json_schema

PATH = Path(__file__).parent / "bundle.schema.json"

if __name__ == "__main__":
    PATH.write_text(json.dumps(json_schema(), indent=2) + "\n")
