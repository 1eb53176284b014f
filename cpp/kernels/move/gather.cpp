#include "kernels/move/element.h"
#include "kernels/move/index.h"

namespace fastort::kernels {

void Indices::refuse(int64_t i, int64_t index, int64_t size) const {
  invalid_argument(std::string(op_) + ": index " + std::to_string(index) + " (item " + std::to_string(i) +
                   " of indices) is outside [" + std::to_string(-size) + ", " + std::to_string(size - 1) + "]");
}

void GatherRows::run(const std::byte* src, Indices indices, std::byte* dst, const Parallel& parallel) const {
  with_element(type, [&]<class T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(src);
    T* to = reinterpret_cast<T*>(dst);
    const int64_t grain = move_grain<T>() / std::max<int64_t>(inner, 1);
    parallel.range(outer * count, grain, [&](int64_t begin, int64_t end) {
      int64_t o = begin / count, i = begin % count;
      for (int64_t row = begin; row < end; ++row) {
        const T* line = from + (o * size + indices.at(i, size)) * inner;
        if (inner == 1)
          copy_one(line, to + row);
        else
          copy_run(line, to + row * inner, inner);
        if (++i < count) continue;
        i = 0;
        ++o;
      }
    });
  });
}

void GatherElements::run(const std::byte* src_data, Indices index, std::byte* dst, const Parallel& parallel) const {
  const int last = indices.rank() - 1;
  const Strides strides = strides_of(src);
  const int64_t step = axis == last ? 0 : 1, axis_stride = strides[static_cast<size_t>(axis)];
  const int64_t size = src[static_cast<size_t>(axis)], width = indices.back();
  if (indices.count() == 0) return;
  with_element(type, [&]<class T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(src_data);
    T* to = reinterpret_cast<T*>(dst);
    parallel.range(indices.count() / width, move_grain<T>() / width, [&](int64_t begin, int64_t end) {
      for (int64_t line = begin; line < end; ++line) {
        int64_t base = 0;
        for (int64_t d = last - 1, rest = line; d >= 0; --d) {
          if (d != axis) base += rest % indices[static_cast<size_t>(d)] * strides[static_cast<size_t>(d)];
          rest /= indices[static_cast<size_t>(d)];
        }
        for (int64_t i = 0; i < width; ++i) {
          const int64_t at = line * width + i;
          copy_one(from + base + i * step + index.at(at, size) * axis_stride, to + at);
        }
      }
    });
  });
}

int64_t TupleSlices::offset(const Indices& indices, int64_t tuple) const {
  int64_t at = tuple / tuples_per_batch * batch_stride;
  const int64_t items = sizes.rank();
  for (int64_t d = 0; d < items; ++d)
    at += indices.at(tuple * items + d, sizes[static_cast<size_t>(d)]) * strides[static_cast<size_t>(d)];
  return at;
}

void TupleSlices::gather(const std::byte* src, Indices indices, std::byte* dst, const Parallel& parallel) const {
  with_element(type, [&]<class T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(src);
    T* to = reinterpret_cast<T*>(dst);
    parallel.range(tuples, move_grain<T>() / std::max<int64_t>(inner, 1), [&](int64_t begin, int64_t end) {
      for (int64_t tuple = begin; tuple < end; ++tuple)
        copy_run(from + offset(indices, tuple), to + tuple * inner, inner);
    });
  });
}

}  // namespace fastort::kernels
