#include "kernels/move/pad.h"

#include <algorithm>

#include "kernels/move/element.h"

namespace fastort::kernels {
namespace {

// The index in [0, size) whose element stands at position `at` (any number) of the padded line, or -1; size > 0.
int64_t source_index(PadMode mode, int64_t at, int64_t size) {
  if (at >= 0 && at < size) return at;
  switch (mode) {
    case PadMode::Constant:
      return -1;
    case PadMode::Edge:
      return at < 0 ? 0 : size - 1;
    case PadMode::Wrap:
      return (at % size + size) % size;
    case PadMode::Reflect: {
      if (size == 1) return 0;
      const int64_t period = 2 * (size - 1), index = (at % period + period) % period;
      return index < size ? index : period - index;
    }
  }
  return -1;
}

}  // namespace

Pad::Pad(DataType type, PadMode mode, const Shape& src, const Strides& begins, const Strides& ends) : type_(type) {
  int rank = src.rank();
  while (rank > 1 && begins[rank - 1] == 0 && ends[rank - 1] == 0) --rank;
  inner_ = src.count(rank, src.rank());
  const Strides strides = strides_of(src);
  for (int i = 0; i < rank; ++i) {
    const int64_t cut_front = std::max<int64_t>(0, -begins[i]), cut_back = std::max<int64_t>(0, -ends[i]);
    const int64_t left = src[i] - cut_front - cut_back, before = std::max<int64_t>(0, begins[i]);
    dst_.push_back(src[i] + begins[i] + ends[i]);
    std::vector<int64_t> map(static_cast<size_t>(dst_[i]));
    for (int64_t at = 0; at < dst_[i]; ++at) {
      const int64_t index = left > 0 ? source_index(mode, at - before, left) : -1;
      map[static_cast<size_t>(at)] = index < 0 ? -1 : (index + cut_front) * strides[i];
    }
    maps_.push_back(std::move(map));
    first_ = before;
    middle_ = std::max<int64_t>(0, left);
  }
}

void Pad::run(const std::byte* src, std::byte* dst, const std::byte* value, const Parallel& parallel) const {
  if (dst_.rank() > 0 && dst_.count() * inner_ == 0) return;
  with_element(type_, [&]<class T>(std::type_identity<T>) {
    const T* from = reinterpret_cast<const T*>(src);
    T* to = reinterpret_cast<T*>(dst);
    const T fill = value ? *reinterpret_cast<const T*>(value) : T{};
    if (dst_.rank() == 0) return copy_one(from, to);
    const int64_t line = dst_.back() * inner_;
    parallel.range(dst_.count() / dst_.back(), move_grain<T>() / line,
                   [&](int64_t begin, int64_t end) { run_lines(from, to, fill, begin, end); });
  });
}

template <class T>
void Pad::run_lines(const T* src, T* dst, const T& fill, int64_t begin, int64_t end) const {
  const int last = dst_.rank() - 1;
  const int64_t line = dst_[last] * inner_;
  const std::vector<int64_t>& map = maps_[static_cast<size_t>(last)];
  for (int64_t item = begin; item < end; ++item) {
    T* to = dst + item * line;
    const T* from = src;
    bool inside = true;
    for (int64_t i = last - 1, rest = item; i >= 0; --i) {
      const int64_t part = maps_[static_cast<size_t>(i)][static_cast<size_t>(rest % dst_[i])];
      rest /= dst_[i];
      inside = inside && part >= 0;
      from += std::max<int64_t>(part, 0);
    }
    if (!inside) {
      std::fill_n(to, line, fill);
      continue;
    }
    auto mapped = [&](int64_t at) {
      const int64_t offset = map[static_cast<size_t>(at)];
      if (offset < 0)
        std::fill_n(to + at * inner_, inner_, fill);
      else
        copy_run(from + offset, to + at * inner_, inner_);
    };
    for (int64_t at = 0; at < first_; ++at) mapped(at);
    if (middle_ > 0) copy_run(from + map[static_cast<size_t>(first_)], to + first_ * inner_, middle_ * inner_);
    for (int64_t at = first_ + middle_; at < dst_[last]; ++at) mapped(at);
  }
}

}  // namespace fastort::kernels
