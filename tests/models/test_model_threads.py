"""One session of a real model under many threads, with other sessions made beside: oneDNN, packed weights, plans."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastort
from tests.models import export

THREADS = 8


@pytest.mark.parametrize("name", ["mobilenet_v3_large", "crnn", "bert_3"])
def test_one_session_serves_many_threads(name: str) -> None:
    options = fastort.SessionOptions()
    options.intra_op_num_threads = 2
    path = export.path_of(name)
    samples = [export.sample_of(name, batch) for batch in (1, 2)]
    session = fastort.InferenceSession(path, options)

    def work(thread: int) -> None:
        used = fastort.InferenceSession(path, options) if thread % 4 == 0 else session
        for turn in range(3):
            feeds, want = samples[(thread + turn) % 2]
            np.testing.assert_allclose(used.run(None, feeds)[0], want, rtol=1e-4, atol=1e-4)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
