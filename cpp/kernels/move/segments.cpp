#include "kernels/move/segments.h"

#include <algorithm>

#include "kernels/move/element.h"

namespace fastort::kernels {

Segments::Segments(DataType type, int64_t rows, std::span<const int64_t> widths)
    : strings_(type == DataType::String), rows_(rows) {
  const int64_t unit = strings_ ? 1 : static_cast<int64_t>(element_size(type));
  starts_.push_back(0);
  for (int64_t width : widths) starts_.push_back(starts_.back() + width * unit);
}

// Cuts the whole into pieces of equal size, wherever the rows and parts begin.
template <class F>
void Segments::walk(const Parallel& parallel, F&& copy) const {
  const int64_t width = starts_.back();
  parallel.range(
      rows_ * width, strings_ ? move_grain<std::string>() : move_grain<uint8_t>(), [&](int64_t begin, int64_t end) {
        int64_t row = begin / width, at = begin % width;
        size_t part = static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin()) - 1;
        for (int64_t done = begin; done < end;) {
          const int64_t part_width = starts_[part + 1] - starts_[part];
          const int64_t inside = at - starts_[part];
          const int64_t count = std::min(end - done, part_width - inside);
          if (count > 0) copy(part, row * part_width + inside, row * width + at, count);
          done += count;
          at += count;
          if (at < starts_[part + 1]) continue;
          if (++part + 1 < starts_.size()) continue;
          part = 0;
          at = 0;
          ++row;
        }
      });
}

std::vector<int64_t> Segments::offsets() const {
  if (strings_ || rows_ != 1) return {};
  return {starts_.begin(), starts_.end() - 1};
}

void Segments::join(const std::byte* const* parts, std::byte* whole, const Parallel& parallel) const {
  auto typed = [&]<class T>(std::type_identity<T>) {
    walk(parallel, [&](size_t part, int64_t part_at, int64_t whole_at, int64_t count) {
      const T* from = reinterpret_cast<const T*>(parts[part]) + part_at;
      T* to = reinterpret_cast<T*>(whole) + whole_at;
      if (from != to) copy_run(from, to, count);
    });
  };
  strings_ ? typed(std::type_identity<std::string>{}) : typed(std::type_identity<uint8_t>{});
}

void Segments::split(const std::byte* whole, std::byte* const* parts, const Parallel& parallel) const {
  auto typed = [&]<class T>(std::type_identity<T>) {
    walk(parallel, [&](size_t part, int64_t part_at, int64_t whole_at, int64_t count) {
      if (!parts[part]) return;
      const T* from = reinterpret_cast<const T*>(whole) + whole_at;
      T* to = reinterpret_cast<T*>(parts[part]) + part_at;
      if (from != to) copy_run(from, to, count);
    });
  };
  strings_ ? typed(std::type_identity<std::string>{}) : typed(std::type_identity<uint8_t>{});
}

}  // namespace fastort::kernels
