"""Writes rows, frames, outcomes, errors, trees and refusals beside itself, always the same.

Run it after a change of the contract: .venv/bin/python tests/vectors/make_vectors.py
field_hash.json is written by FieldHashVectors.java.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

import frame_vectors  # noqa: E402 - beside this file
import refusal_vectors  # noqa: E402
import row_vectors  # noqa: E402
import tree_vectors  # noqa: E402

from heronshim.wire.v1 import link_pb2  # noqa: E402


def errors() -> dict[str, Any]:
    """Return numbers and names of the protocol's errors."""
    return {
        "about": "Error.code; an unknown number reads as INTERNAL. 0 is never sent.",
        "codes": [
            {"code": number, "name": name.removeprefix("ERROR_CODE_")}
            for name, number in link_pb2.ErrorCode.items()
        ],
    }


def files() -> dict[str, str]:
    """Return name and text of each file."""
    contents = {
        "rows": row_vectors.rows(),
        "frames": frame_vectors.frames(),
        "outcomes": frame_vectors.outcomes(),
        "errors": errors(),
        "trees": tree_vectors.trees(),
        "refusals": refusal_vectors.refusals(),
    }
    return {f"{name}.json": _text(content) for name, content in contents.items()}


def _text(content: dict[str, Any]) -> str:
    """Return JSON with one vector a line."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = ",\n".join(json.dumps(item, ensure_ascii=True) for item in value)
            parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
        else:
            parts.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    """Write all files."""
    for name, text in files().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
