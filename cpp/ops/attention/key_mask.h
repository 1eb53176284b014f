#pragma once

#include <algorithm>

#include "ops/attention/kernel.h"

namespace fastort::attention {

// The additive form of a key mask: [batch, rows, keys].
struct KeyMaskShape {
  int64_t rows = 1, keys = 0;

  KeyMaskShape() = default;
  explicit KeyMaskShape(const Spec& s) {
    const bool by_query = s.key_mask == KeyMask::Pairs || s.key_mask == KeyMask::Square;
    const bool by_index = s.key_mask == KeyMask::Ends || s.key_mask == KeyMask::Spans;
    rows = by_query ? s.problem.queries : 1;
    keys = by_index ? s.problem.keys : std::min(s.problem.keys, s.key_mask_size);
  }
};

// dst = 0 for keys that take part, s.mask_filter for the others. `past` is the number of keys in front of the first
// query for each batch item.
template <class C>
void fill_key_mask(const Spec& s, const KeyMaskShape& shape, const int32_t* mask, const int64_t* past, C* dst) {
  const int64_t batch = s.problem.batch, width = s.key_mask_size;
  const C filter = static_cast<C>(s.mask_filter);
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < shape.rows; ++i) {
      C* const row = dst + (b * shape.rows + i) * shape.keys;
      if (s.key_mask == KeyMask::Ends || s.key_mask == KeyMask::Spans) {
        const int64_t end = std::clamp<int64_t>(mask[b], 0, shape.keys);
        const int64_t begin = s.key_mask == KeyMask::Spans ? std::clamp<int64_t>(mask[batch + b], 0, end) : 0;
        std::fill(row, row + begin, filter);
        std::fill(row + begin, row + end, C{0});
        std::fill(row + end, row + shape.keys, filter);
        continue;
      }
      int64_t line = b;  // of the mask
      if (s.key_mask == KeyMask::Pairs) line = b * shape.rows + i;
      if (s.key_mask == KeyMask::Square) line = b * width + past[b] + i;
      for (int64_t k = 0; k < shape.keys; ++k) row[k] = mask[line * width + k] > 0 ? C{0} : filter;
    }
  }
}

}  // namespace fastort::attention
