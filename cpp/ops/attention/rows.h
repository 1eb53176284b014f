#pragma once

#include <cmath>
#include <type_traits>

#include "tensor/data_type.h"

// Rows of heads on their way into a cache or into the kernel.
namespace fastort::attention {

template <class E>
using ComputeType = std::conditional_t<std::is_same_v<E, double>, double, float>;

template <class E>
ComputeType<E> load(E value) {
  if constexpr (std::is_same_v<E, Float16> || std::is_same_v<E, BFloat16>)
    return to_float(value);
  else
    return value;
}

template <class F, class C>
void store(C value, F& dst) {
  if constexpr (std::is_same_v<F, Float16>)
    dst = to_float16(value);
  else if constexpr (std::is_same_v<F, BFloat16>)
    dst = to_bfloat16(value);
  else
    dst = static_cast<F>(value);
}

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

// dst[0..size) from items `step` apart.
template <class E, class F>
void write_row(const E* src, int64_t step, int64_t size, const RowChange<E>& change, F* dst) {
  using C = ComputeType<E>;
  C factor = 1;
  if (change.norm) {
    C sum = 0;
    for (int64_t i = 0; i < size; ++i) sum += load(src[i * step]) * load(src[i * step]);
    factor = 1 / std::sqrt(sum / static_cast<C>(size) + static_cast<C>(change.epsilon));
  }
  const auto item = [&](int64_t i) {
    C value = load(src[i * step]);
    if (change.norm) value *= factor * load(change.norm[i]);
    return change.bias ? value + load(change.bias[i]) : value;
  };
  const int64_t half = change.cos ? change.rotated / 2 : 0;
  const int64_t apart = change.interleaved ? 1 : half, next = change.interleaved ? 2 : 1;
  for (int64_t i = 0; i < half; ++i) {
    const C a = item(i * next), b = item(i * next + apart), c = load(change.cos[i]), s = load(change.sin[i]);
    store(c * a - s * b, dst[i * next]);
    store(s * a + c * b, dst[i * next + apart]);
  }
  for (int64_t i = 2 * half; i < size; ++i) store(item(i), dst[i]);
}

}  // namespace fastort::attention
