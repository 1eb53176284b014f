#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"

namespace fastort {

// As Parallel::range; large work is cut into pieces of some milliseconds, for a cancelled run to end soon on one thread
// too.
template <class F>
void range_in_pieces(const Parallel& parallel, int64_t n, int64_t grain, F&& body) {
  constexpr int64_t kMaxGrains = 256, kMaxPieces = int64_t{1} << 20;
  grain = std::max<int64_t>(grain, 1);
  const int64_t pieces = n <= 0 ? 0 : std::min((n - 1) / grain / kMaxGrains + 1, kMaxPieces);
  if (pieces <= (parallel.threads() == 1 ? 1 : 4 * parallel.threads())) return parallel.range(n, grain, body);
  const int64_t step = (n + pieces - 1) / pieces;
  parallel.chunks(static_cast<int>((n + step - 1) / step),
                  [&](int i) { body(i * step, std::min<int64_t>(n, (i + 1) * step)); });
}

}  // namespace fastort
