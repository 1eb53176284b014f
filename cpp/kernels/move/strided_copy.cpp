#include "kernels/move/strided_copy.h"

#include <algorithm>

#include "base/cpu_info.h"
#include "hwy/cache_control.h"
#include "kernels/move/element.h"

namespace fastort::kernels {

namespace {

// dst[c * dst_stride + r] = src[r * src_stride + c] for a number of rows that the compiler knows.
template <int kRows, class T>
void interleave_rows(const T* src, int64_t src_stride, T* dst, int64_t dst_stride, int64_t cols) {
  for (int64_t c = 0; c < cols; ++c)
    for (int r = 0; r < kRows; ++r) copy_one(src + r * src_stride + c, dst + c * dst_stride + r);
}

template <class T>
void transpose_tile(const T* src, int64_t src_stride, T* dst, int64_t dst_stride, int64_t rows, int64_t cols,
                    [[maybe_unused]] bool past_caches) {
  if (rows == 2) return interleave_rows<2>(src, src_stride, dst, dst_stride, cols);
  if (rows == 3) return interleave_rows<3>(src, src_stride, dst, dst_stride, cols);
  if (rows == 4) return interleave_rows<4>(src, src_stride, dst, dst_stride, cols);
  if constexpr (std::is_same_v<T, uint32_t>) {
    transpose_tile_32(src, src_stride, dst, dst_stride, rows, cols, past_caches);
  } else {
    constexpr int64_t kBlock = sizeof(T) <= 4 ? 16 : 8;
    const int64_t whole_rows = rows / kBlock * kBlock, whole_cols = cols / kBlock * kBlock;
    // Through a buffer, so that every line of src and dst is touched once.
    T block[kBlock][kBlock];
    for (int64_t r = 0; r < whole_rows; r += kBlock) {
      for (int64_t c = 0; c < whole_cols; c += kBlock) {
        for (int64_t i = 0; i < kBlock; ++i) copy_run(src + (r + i) * src_stride + c, block[i], kBlock);
        for (int64_t j = 0; j < kBlock; ++j) {
          T line[kBlock];
          for (int64_t i = 0; i < kBlock; ++i) line[i] = block[i][j];
          copy_run(line, dst + (c + j) * dst_stride + r, kBlock);
        }
      }
    }
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t r = c < whole_cols ? whole_rows : 0; r < rows; ++r)
        copy_one(src + r * src_stride + c, dst + c * dst_stride + r);
  }
}

}  // namespace

Strides strides_of(const Shape& shape) {
  Strides strides(shape.size(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

StridedCopy::StridedCopy(DataType type, const Shape& dims, const Strides& src_strides, const Strides& dst_strides,
                         int64_t src_offset, int64_t dst_offset)
    : strings_(type == DataType::String),
      bytes_(element_size(type)),
      dims_(dims),
      src_(src_strides),
      dst_(dst_strides),
      src_offset_(src_offset),
      dst_offset_(dst_offset) {
  for (Dim dim : dims_)
    if (dim == 0) return;
  simplify();
  if (!strings_) widen();
  const int last = dims_.rank() - 1;
  if (src_[last] == 1 && dst_[last] == 1) {
    inner_ = Inner::Run;
  } else if (src_[last] == 0 && dst_[last] == 1) {
    inner_ = Inner::Fill;
  } else {
    inner_ = Inner::Strided;
    if (dst_[last] != 1) return;
    for (int i = 0; i < last; ++i) {
      if (src_[i] != 1) continue;
      inner_ = Inner::Transpose;
      turned_ = i;
    }
  }
}

// Drops dimensions of size 1 and merges neighbours that are one run on both sides; at least one dimension is left.
void StridedCopy::simplify() {
  int kept = 0;
  for (int i = 0; i < dims_.rank(); ++i) {
    if (dims_[i] == 1) continue;
    if (kept > 0 && src_[kept - 1] == src_[i] * dims_[i] && dst_[kept - 1] == dst_[i] * dims_[i]) {
      dims_[kept - 1] *= dims_[i];
    } else {
      dims_[kept++] = dims_[i];
    }
    src_[kept - 1] = src_[i];
    dst_[kept - 1] = dst_[i];
  }
  dims_.resize(kept);
  src_.resize(kept);
  dst_.resize(kept);
  if (kept > 0) return;
  dims_.push_back(1);
  src_.push_back(1);
  dst_.push_back(1);
}

// A short inner run moves faster as one larger element.
void StridedCopy::widen() {
  const int last = dims_.rank() - 1;
  const int64_t run = dims_[last];
  if (last == 0 || src_[last] != 1 || dst_[last] != 1 || run > 16) return;
  const size_t wide = bytes_ * static_cast<size_t>(run);
  if (wide != 2 && wide != 4 && wide != 8 && wide != 16) return;
  bool whole = src_offset_ % run == 0 && dst_offset_ % run == 0;
  for (int i = 0; i < last; ++i) whole = whole && src_[i] % run == 0 && dst_[i] % run == 0;
  if (!whole) return;
  bytes_ = wide;
  src_offset_ /= run;
  dst_offset_ /= run;
  dims_.pop_back();
  src_.pop_back();
  dst_.pop_back();
  for (int i = 0; i < last; ++i) {
    src_[i] /= run;
    dst_[i] /= run;
  }
}

void StridedCopy::run(const std::byte* src, std::byte* dst, const Parallel& parallel) const {
  if (inner_ == Inner::Nothing) return;
  auto typed = [&]<class T>(std::type_identity<T>) {
    run_typed(reinterpret_cast<const T*>(src) + src_offset_, reinterpret_cast<T*>(dst) + dst_offset_, parallel);
  };
  if (strings_) {
    typed(std::type_identity<std::string>{});
  } else {
    with_element_size(bytes_, typed);
  }
}

template <class T>
void StridedCopy::run_typed(const T* src, T* dst, const Parallel& parallel) const {
  if (inner_ == Inner::Transpose) {
    run_transpose(src, dst, parallel);
  } else {
    run_rows(src, dst, parallel);
  }
}

template <class T>
void StridedCopy::run_rows(const T* src, T* dst, const Parallel& parallel) const {
  const int last = dims_.rank() - 1;
  const int64_t run = dims_[last], src_step = src_[last], dst_step = dst_[last];
  auto move = [this, src_step, dst_step](const T* from, T* to, int64_t count) {
    switch (inner_) {
      case Inner::Run:
        copy_run(from, to, count);
        break;
      case Inner::Fill:
        for (int64_t i = 0; i < count; ++i) copy_one(from, to + i);
        break;
      default:
        for (int64_t i = 0; i < count; ++i) copy_one(from + i * src_step, to + i * dst_step);
    }
  };
  if (last == 0) {
    parallel.range(run, move_grain<T>(), [&](int64_t begin, int64_t end) {
      move(src + begin * src_step, dst + begin * dst_step, end - begin);
    });
    return;
  }
  // Few long rows are cut into pieces, so that every thread gets some.
  const int64_t rows = dims_.count(0, last);
  const int64_t pieces =
      rows >= 4 * parallel.threads() ? 1 : std::max<int64_t>(1, (run + move_grain<T>() - 1) / move_grain<T>());
  const int64_t piece = (run + pieces - 1) / pieces;
  const int rows_axis = last - 1;
  parallel.range(rows * pieces, move_grain<T>() / std::max<int64_t>(piece, 1), [&](int64_t begin, int64_t end) {
    InlineVector<int64_t, 6> at(static_cast<size_t>(last));
    const T* from = src;
    T* to = dst;
    for (int64_t i = rows_axis, rest = begin / pieces; i >= 0; --i) {
      at[i] = rest % dims_[i];
      rest /= dims_[i];
      from += at[i] * src_[i];
      to += at[i] * dst_[i];
    }
    for (int64_t item = begin; item < end;) {
      if (pieces == 1) {
        const int64_t count = std::min(end - item, dims_[rows_axis] - at[rows_axis]);
        for (int64_t r = 0; r < count; ++r) move(from + r * src_[rows_axis], to + r * dst_[rows_axis], run);
        item += count;
        at[rows_axis] += count;
        from += count * src_[rows_axis];
        to += count * dst_[rows_axis];
      } else {
        const int64_t first = item % pieces * piece;
        if (first < run) move(from + first * src_step, to + first * dst_step, std::min(piece, run - first));
        if (++item % pieces != 0) continue;
        ++at[rows_axis];
        from += src_[rows_axis];
        to += dst_[rows_axis];
      }
      for (int i = rows_axis; i > 0 && at[i] == dims_[i]; --i) {
        from += src_[i - 1] - at[i] * src_[i];
        to += dst_[i - 1] - at[i] * dst_[i];
        at[i] = 0;
        ++at[i - 1];
      }
    }
  });
}

// Tiles of about 4096 elements that are long where the other side is short; all other dimensions are walked around
// them.
template <class T>
void StridedCopy::run_transpose(const T* src, T* dst, const Parallel& parallel) const {
  constexpr int64_t kSide = sizeof(T) <= 4 ? 64 : 32, kTile = kSide * kSide;
  const int last = dims_.rank() - 1;
  const int64_t rows = dims_[last], cols = dims_[turned_];
  const int64_t tall = cols < kSide ? kTile / cols : kSide, wide = rows < kSide ? kTile / rows : kSide;
  const int64_t row_tiles = (rows + tall - 1) / tall, col_tiles = (cols + wide - 1) / wide;
  const int64_t outer = dims_.count() / (rows * cols);
  const int64_t grain = move_grain<T>() / std::max<int64_t>(1, std::min(rows, tall) * std::min(cols, wide));
  const bool past_caches = 2 * static_cast<size_t>(dims_.count()) * sizeof(T) >= cache_sizes().l3;
  parallel.range(outer * col_tiles * row_tiles, grain, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      int64_t rest = item;
      const int64_t row = rest % row_tiles * tall;
      rest /= row_tiles;
      const int64_t col = rest % col_tiles * wide;
      rest /= col_tiles;
      const T* from = src + row * src_[last] + col;
      T* to = dst + row + col * dst_[turned_];
      for (int i = last - 1; i >= 0; --i) {
        if (i == turned_) continue;
        from += rest % dims_[i] * src_[i];
        to += rest % dims_[i] * dst_[i];
        rest /= dims_[i];
      }
      const int64_t tile_rows = std::min(tall, rows - row), tile_cols = std::min(wide, cols - col);
      transpose_tile(from, src_[last], to, dst_[turned_], tile_rows, tile_cols, past_caches);
    }
    if (past_caches) hwy::FlushStream();
  });
}

}  // namespace fastort::kernels
