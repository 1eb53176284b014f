#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "tensor/dispatch.h"

// Rows of heads on their way into a cache or into the kernel.
namespace fastort::attention {

// What is done to each row: an RMS norm, a bias, a rotation of its first items, in this order where they are there.
template <class E>
struct RowChange {
  const E* bias = nullptr;
  const E* norm = nullptr;  // weights
  double epsilon = 0;
  const E *cos = nullptr, *sin = nullptr;  // of the row's position
  int64_t rotated = 0;
  bool interleaved = false;
};

template <class F, class C>
F kept(C value) {
  if constexpr (kIsHalf<F>)
    return rounded<F>(value);
  else
    return static_cast<F>(value);
}

// dst[0..size) from items `step` apart.
template <class E, class F>
void write_row(const E* src, int64_t step, int64_t size, const RowChange<E>& change, F* dst) {
  using C = Arithmetic<E>;
  C factor = 1;
  if (change.norm) {
    C sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += widened(src[i * step]) * widened(src[i * step]);
    factor = 1 / std::sqrt(sum / static_cast<C>(size) + static_cast<C>(change.epsilon));
  }
  const auto item = [&](int64_t i) {
    C value = widened(src[i * step]);
    if (change.norm) value *= factor * widened(change.norm[i]);
    return change.bias ? value + widened(change.bias[i]) : value;
  };
  const int64_t half = change.cos ? change.rotated / 2 : 0;
  const int64_t apart = change.interleaved ? 1 : half, next = change.interleaved ? 2 : 1;
  for (int64_t i = 0; i < half; ++i) {
    const C a = item(i * next), b = item(i * next + apart), c = widened(change.cos[i]), s = widened(change.sin[i]);
    dst[i * next] = kept<F>(c * a - s * b);
    dst[i * next + apart] = kept<F>(s * a + c * b);
  }
  for (int64_t i = 2 * half; i < size; ++i) dst[i] = kept<F>(item(i));
}

}  // namespace fastort::attention
