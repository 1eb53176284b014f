"""Runs models in a process of its own, whose environment says how Vulkan behaves.

Called with a pickle of `[(model, feeds, options of the provider), ...]` and the name of a file for the pickled results.
"""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import fastort


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    results = []
    for model, feeds, options in pickle.loads(source.read_bytes()):
        with fastort.InferenceSession(model, providers=[("VulkanExecutionProvider", options)]) as session:
            session.run(None, feeds)
            results.append((session.run(None, feeds), session.explain()))
    target.write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main()
