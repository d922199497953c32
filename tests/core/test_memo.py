"""Results that are remembered while a stream is read."""

from __future__ import annotations

import numpy as np

from consilience.core.memo import Memo, active_memo, key_of, remembered, remembering


def doubled(values: np.ndarray, calls: list[int]) -> np.ndarray:
    def compute() -> tuple[np.ndarray]:
        calls.append(1)
        return (2 * values,)

    return remembered("doubled", (values,), compute)[0]


def test_a_result_is_computed_once_for_equal_content_within_the_block_only() -> None:
    calls: list[int] = []
    memo = Memo()
    with remembering(memo):
        for _ in range(3):
            assert doubled(np.arange(4.0), calls).tolist() == [0, 2, 4, 6]
        assert len(calls) == 1
        assert doubled(np.arange(4.0) + 1, calls).tolist() == [2, 4, 6, 8]
    assert active_memo() is None
    doubled(np.arange(4.0), calls)
    doubled(np.arange(4.0), calls)
    assert len(calls) == 4
    with remembering(memo):
        doubled(np.arange(4.0), calls)
    assert len(calls) == 4


def test_keys_differ_by_name_type_shape_and_content() -> None:
    values = np.arange(6.0)
    keys = {
        key_of("a", values),
        key_of("b", values),
        key_of("a", values.reshape(2, 3)),
        key_of("a", values.astype(np.float32)),
        key_of("a", values[::-1]),
        key_of("a", values[:3], values[3:]),
    }
    assert len(keys) == 6
    assert key_of("a", values[::2]) == key_of("a", values[::2].copy())


def test_the_results_used_longest_ago_are_forgotten() -> None:
    memo = Memo(max_bytes=3 * 80)
    for number in range(3):
        memo.put(bytes([number]), (np.full(10, float(number)),))
    assert memo.get(b"\0") is not None
    memo.put(b"\3", (np.zeros(10),))
    assert memo.get(b"\1") is None
    assert memo.get(b"\0") is not None
    assert (len(memo), memo.n_bytes) == (3, 240)
    memo.put(b"\3", (np.zeros(5),))
    assert memo.n_bytes == 200
