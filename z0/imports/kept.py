"""
What an import keeps between its runs. Owns: the files `<home>/imports/<key>.<what>.json`, each written once and never changed.

Why: a command's id says "the same command", so its body must be the same when an interrupted import runs again. A shift
that makes the trace end now depends on when it was first computed, so the first run's is kept. The key covers what the ids
are made of (file, id template, time, constants): wherever ids are the same, the shift is. If the file is lost, or the
import goes on on another machine, the ledger answers `id_reused`: loud, and nothing is doubled. `--ends-at` avoids even that.
"""

import json
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from z0.imports.load import Loaded
from z0.imports.scan import Scan


def key_of(loaded: Loaded, scan: Scan) -> str:
    """The import's key: 32 hex digits."""
    spec = loaded.spec
    time = spec.time.model_dump() if spec.time else None
    parts = json.dumps([scan.sha256, spec.id, time, spec.constants], sort_keys=True)
    return sha256(parts.encode()).hexdigest()[:32]


def keep_first(folder: Path, name: str, value: Any) -> Any:
    """The value under a name: what the first caller gave. Two runs at once agree, since a link is made only once."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    if not path.exists():
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump(value, file)
        try:
            os.link(temporary, path)
        except FileExistsError:
            pass  # another run was first
        finally:
            os.unlink(temporary)
    return json.loads(path.read_text())


def shift_ms(scan: Scan, ends_at_ms: int) -> int:
    """How far event times move so that the last one is at `ends_at_ms`."""
    return ends_at_ms - scan.last_event_ms if scan.last_event_ms is not None else 0
