#include "plan/memory.h"

#include <algorithm>
#include <numeric>

#include "tensor/buffer.h"

namespace fastort {

size_t plan_memory(std::vector<Lifetime>& pieces) {
  std::vector<size_t> order(pieces.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return pieces[a].bytes > pieces[b].bytes; });

  // Cache lines apart by less than a page alias in the cache; a plain packing is good enough here.
  std::vector<size_t> placed;  // by offset
  size_t total = 0;
  for (size_t index : order) {
    Lifetime& piece = pieces[index];
    const size_t bytes = align_up(std::max<size_t>(piece.bytes, 1));
    size_t offset = 0;
    for (size_t other_index : placed) {
      const Lifetime& other = pieces[other_index];
      if (other.last < piece.first || other.first > piece.last) continue;
      const size_t begin = static_cast<size_t>(other.offset);
      if (offset + bytes <= begin) break;
      offset = std::max(offset, begin + align_up(std::max<size_t>(other.bytes, 1)));
    }
    piece.offset = static_cast<int64_t>(offset);
    const auto at = std::upper_bound(placed.begin(), placed.end(), offset, [&](size_t value, size_t candidate) {
      return value < static_cast<size_t>(pieces[candidate].offset);
    });
    placed.insert(at, index);
    total = std::max(total, offset + bytes);
  }
  return total;
}

}  // namespace fastort
