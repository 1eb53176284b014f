"""`use_deterministic_compute`: real models give the same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import fastort
from tests.models import export


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "crnn", "bert_3", "resnet18"])
def test_results_do_not_depend_on_threads(name: str) -> None:
    feeds, want = export.sample_of(name, 1)
    results = []
    for threads in (1, 2, 3, 4, 7):
        options = fastort.SessionOptions()
        options.use_deterministic_compute = True
        options.intra_op_num_threads = threads
        session = fastort.InferenceSession(export.path_of(name), options)
        results += [session.run(None, feeds)[0] for _ in range(2)]
    np.testing.assert_allclose(results[0], want, rtol=1e-4, atol=1e-4)
    for result in results[1:]:
        assert result.tobytes() == results[0].tobytes()
