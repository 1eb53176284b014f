#include "kernels/elementwise/broadcast.h"

#include "base/pieces.h"

#include <algorithm>
#include <cstring>

namespace fastort::kernels {
namespace {

// Rows shorter than this are gathered with their neighbours into tiles.
constexpr int64_t kShortRow = 64;
constexpr int64_t kTileItems = 512;
constexpr size_t kMaxItem = 16;
constexpr size_t kMaxTiled = 6;

void gather(const std::byte* src, size_t item, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride,
            std::byte* dst) {
  auto copy = [&]<class T>(T) {
    const T* from = reinterpret_cast<const T*>(src);
    T* to = reinterpret_cast<T*>(dst);
    for (int64_t r = 0; r < rows; ++r, from += row_stride)
      for (int64_t c = 0; c < columns; ++c) *to++ = from[c * column_stride];
  };
  struct Item16 {
    uint64_t parts[2];
  };
  if (item == 1) return copy(uint8_t{});
  if (item == 2) return copy(uint16_t{});
  if (item == 4) return copy(uint32_t{});
  if (item == 8) return copy(uint64_t{});
  copy(Item16{});
}

}  // namespace

Broadcast::Broadcast(std::span<const int64_t> dims, std::span<const Strides> strides, bool copyable) {
  const size_t operands = strides.size();
  strides_.resize(operands);
  count_ = 1;
  for (int64_t dim : dims) count_ *= dim;
  // Two neighbouring dimensions are one where every operand steps through both evenly.
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 1) continue;
    bool merge = !dims_.empty();
    for (size_t i = 0; merge && i < operands; ++i) merge = strides_[i].back() == strides[i][d] * dims[d];
    if (merge) {
      dims_.back() *= dims[d];
      for (size_t i = 0; i < operands; ++i) strides_[i].back() = strides[i][d];
    } else {
      dims_.push_back(dims[d]);
      for (size_t i = 0; i < operands; ++i) strides_[i].push_back(strides[i][d]);
    }
  }
  if (dims_.empty()) {
    dims_.push_back(1);
    for (Strides& s : strides_) s.push_back(0);
  }
  const size_t rank = dims_.size();
  const int64_t columns = dims_[rank - 1];
  bool odd_stride = false;
  for (const Strides& s : strides_) {
    vector_.push_back(s[rank - 1] == 1);
    odd_stride = odd_stride || s[rank - 1] > 1;
  }
  const bool wanted = odd_stride || (rank >= 2 && columns < kShortRow);
  if (!copyable || !wanted || operands > kMaxTiled || count_ == 0) return;
  if (rank == 1) {  // one strided row: a column of tiles
    dims_.insert(0, 1);
    for (Strides& s : strides_) s.insert(0, 0);
  }
  const int64_t rows = dims_[dims_.size() - 2];
  tile_rows_ = std::clamp<int64_t>(kTileItems / columns, 1, std::max<int64_t>(rows, 1));
  for (size_t i = 0; i < operands; ++i) {
    const int64_t row_stride = strides_[i][dims_.size() - 2], column_stride = strides_[i].back();
    const bool scalar = row_stride == 0 && column_stride == 0;
    const bool direct = column_stride == 1 && (row_stride == columns || rows == 1);
    vector_[i] = !scalar;
    gathered_.push_back(!scalar && !direct);
  }
}

Broadcast Broadcast::of(const Shape& out, std::span<const Shape> operands, bool copyable) {
  std::vector<Strides> strides;
  for (const Shape& shape : operands) {
    Strides s(out.size(), 0);
    int64_t step = 1;
    const size_t lead = out.size() - shape.size();
    for (size_t d = shape.size(); d-- > 0;) {
      s[lead + d] = shape[d] == 1 ? 0 : step;
      step *= shape[d];
    }
    strides.push_back(std::move(s));
  }
  return Broadcast(std::span<const int64_t>(out.data(), out.size()), strides, copyable);
}

bool Broadcast::is_whole(int i) const {
  if (dims_.size() == 2 && dims_[0] == 1) return strides_[static_cast<size_t>(i)].back() == 1;
  return dims_.size() == 1 && (strides_[static_cast<size_t>(i)].back() == 1 || count_ <= 1);
}

void Broadcast::run(const Parallel& parallel, int64_t grain, std::byte* dst, size_t dst_item,
                    std::span<const Operand> operands, Body body) const {
  if (count_ == 0) return;
  if (tile_rows_ == 0) {
    range_in_pieces(parallel, count_, grain,
                    [&](int64_t begin, int64_t end) { run_rows(begin, end, dst, dst_item, operands, body); });
    return;
  }
  // Tiles do not cross the third dimension from the end, so pieces are whole tiles.
  const int64_t columns = dims_.back();
  const int64_t rows = dims_[dims_.size() - 2];
  const int64_t tiles = count_ / (rows * columns) * ((rows + tile_rows_ - 1) / tile_rows_);
  range_in_pieces(parallel, tiles, std::max<int64_t>(1, grain / (tile_rows_ * columns)),
                  [&](int64_t begin, int64_t end) { run_tiles(begin, end, dst, dst_item, operands, body); });
}

void Broadcast::run_rows(int64_t begin, int64_t end, std::byte* dst, size_t dst_item, std::span<const Operand> operands,
                         Body body) const {
  const size_t rank = dims_.size();
  const int64_t columns = dims_.back();
  InlineVector<int64_t, 8> index(rank, 0);
  InlineVector<const std::byte*, 8> row(operands.size(), nullptr);
  InlineVector<const std::byte*, 8> src(operands.size(), nullptr);
  int64_t rest = begin / columns;
  int64_t column = begin % columns;
  for (size_t i = 0; i < operands.size(); ++i) row[i] = operands[i].data;
  for (size_t d = rank - 1; d-- > 0;) {
    index[d] = rest % dims_[d];
    rest /= dims_[d];
    for (size_t i = 0; i < operands.size(); ++i)
      row[i] += index[d] * strides_[i][d] * static_cast<int64_t>(operands[i].item);
  }
  for (int64_t at = begin; at < end;) {
    const int64_t n = std::min(columns - column, end - at);
    for (size_t i = 0; i < operands.size(); ++i)
      src[i] = row[i] + column * strides_[i][rank - 1] * static_cast<int64_t>(operands[i].item);
    body(dst + at * static_cast<int64_t>(dst_item), src.data(), n);
    at += n;
    column = 0;
    for (size_t d = rank - 1; d-- > 0;) {
      const bool wraps = ++index[d] == dims_[d];
      for (size_t i = 0; i < operands.size(); ++i) {
        const int64_t step = wraps ? (1 - dims_[d]) * strides_[i][d] : strides_[i][d];
        row[i] += step * static_cast<int64_t>(operands[i].item);
      }
      if (!wraps) break;
      index[d] = 0;
    }
  }
}

void Broadcast::run_tiles(int64_t begin, int64_t end, std::byte* dst, size_t dst_item,
                          std::span<const Operand> operands, Body body) const {
  alignas(64) std::byte tiles[kMaxTiled][kTileItems * kMaxItem];
  const size_t rank = dims_.size();
  const int64_t columns = dims_.back();
  const int64_t rows = dims_[rank - 2];
  const int64_t per_block = (rows + tile_rows_ - 1) / tile_rows_;
  const std::byte* filled[kMaxTiled] = {};
  int64_t filled_rows[kMaxTiled] = {};
  // Rows longer than a tile (strided operands only) are cut.
  const int64_t width = std::min(columns, kTileItems);
  for (int64_t tile = begin; tile < end; ++tile) {
    const int64_t block = tile / per_block;
    const int64_t row = (tile % per_block) * tile_rows_;
    const int64_t count = std::min(tile_rows_, rows - row);
    int64_t offset[kMaxTiled] = {};
    int64_t rest = block;
    for (size_t d = rank - 2; d-- > 0;) {
      const int64_t at = rest % dims_[d];
      rest /= dims_[d];
      for (size_t i = 0; i < operands.size(); ++i) offset[i] += at * strides_[i][d];
    }
    for (int64_t column = 0; column < columns; column += width) {
      const int64_t n = std::min(width, columns - column);
      const std::byte* src[kMaxTiled] = {};
      for (size_t i = 0; i < operands.size(); ++i) {
        const int64_t row_stride = strides_[i][rank - 2], column_stride = strides_[i][rank - 1];
        src[i] = operands[i].data +
                 (offset[i] + row * row_stride + column * column_stride) * static_cast<int64_t>(operands[i].item);
        if (!gathered_[i]) continue;
        // A repeated row is gathered once for all the tiles that use it.
        const bool again = row_stride == 0 && filled[i] == src[i] && filled_rows[i] >= count && n == columns;
        if (!again) {
          gather(src[i], operands[i].item, count, n, row_stride, column_stride, tiles[i]);
          filled[i] = src[i];
          filled_rows[i] = count;
        }
        src[i] = tiles[i];
      }
      const int64_t at = (block * rows + row) * columns + column;
      body(dst + at * static_cast<int64_t>(dst_item), src, count * n);
    }
  }
}

}  // namespace fastort::kernels
