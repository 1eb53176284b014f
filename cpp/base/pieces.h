#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"

namespace fastort {

// As Parallel::range; work of more than `most` items is cut into pieces of some milliseconds, for a cancelled run to
// end soon on one thread too.
template <class F>
void range_in_pieces_of(const Parallel& parallel, int64_t n, int64_t grain, int64_t most, F&& body) {
  constexpr int64_t kMaxPieces = int64_t{1} << 20;
  const int64_t pieces = n <= 0 ? 0 : std::min((n - 1) / most + 1, kMaxPieces);
  if (pieces <= (parallel.threads() == 1 ? 1 : 4 * parallel.threads())) return parallel.range(n, grain, body);
  const int64_t step = (n + pieces - 1) / pieces;
  parallel.chunks(static_cast<int>((n + step - 1) / step),
                  [&](int i) { body(i * step, std::min<int64_t>(n, (i + 1) * step)); });
}

template <class F>
void range_in_pieces(const Parallel& parallel, int64_t n, int64_t grain, F&& body) {
  grain = std::max<int64_t>(grain, 1);
  range_in_pieces_of(parallel, n, grain, 256 * grain, body);
}

// The same for items of `size` elements that are copied or converted.
template <class F>
void copy_in_pieces(const Parallel& parallel, int64_t n, int64_t size, F&& body) {
  constexpr int64_t kLeast = 16384, kMost = int64_t{1} << 20;
  size = std::max<int64_t>(size, 1);
  range_in_pieces_of(parallel, n, 1 + kLeast / size, std::max<int64_t>(1, kMost / size), body);
}

}  // namespace fastort
