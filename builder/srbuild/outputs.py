"""Whether a finished image can be left alone, given the key of all its inputs.

The only question about the image itself. The key comes from `pipeline.input_key`, after
everything was collected, or from a witness of such a collecting that still holds: so what a
`touch` or an unrelated file changes costs the collecting, and leaves the image alone.

Kept out of `image.py` so that such a build imports neither writer nor verifier.
"""

from __future__ import annotations

import os

from srbuild.host.cache import FactStore
from srbuild.host.sysroot import identity
from srbuild.paths import HostPath

_TABLE = "output-1"


def sidecar_path(image: HostPath) -> HostPath:
    """Where the JSON sidecar of `image` stands: beside it."""
    return image.with_name(image.name + ".json")


def is_current(target: HostPath, facts: FactStore, input_key: str) -> bool:
    """Whether `target` is still the very file that was verified and made from these inputs.

    `input_key` is the caller's digest of all inputs. Only `target`'s stat is looked at.
    """
    try:
        status = os.stat(target)
    except OSError:
        return False
    return facts.get(_TABLE, identity(status)) == input_key


def record_output(target: HostPath, facts: FactStore, input_key: str) -> None:
    """Remember that `target`, as it stands now, was verified and made from these inputs.

    Raises OSError when it is gone. The facts are kept once the caller saves them.
    """
    facts.put(_TABLE, identity(os.stat(target)), input_key, settled=True)
