"""Writes what the check in the browser takes from the code: python -m scripts.explorer"""

from scripts.explorer.declarations import PATH, declarations_json

PATH.write_text(declarations_json())
