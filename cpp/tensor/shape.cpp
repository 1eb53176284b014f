#include "tensor/shape.h"

#include <algorithm>

namespace fastort {

std::optional<int64_t> checked_count(const Shape& shape) noexcept {
  // Sizes of 0 are left out of the check's product, so that strides and partial products fit as well.
  constexpr int64_t kMax = int64_t{1} << 62;
  int64_t product = 1;
  bool none = false;
  for (Dim dim : shape) {
    if (!is_known(dim)) return std::nullopt;
    none |= dim == 0;
    if (dim > 1 && product > kMax / dim) return std::nullopt;
    product *= std::max<Dim>(dim, 1);
  }
  return none ? 0 : product;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ',';
    text += is_known(shape[i]) ? std::to_string(shape[i]) : "?";
  }
  return text + ']';
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) strides[i] = strides[i + 1] * shape[i + 1];
  return strides;
}

std::string_view name(Layout layout) noexcept {
  switch (layout) {
    case Layout::Plain:
      return "plain";
    case Layout::Nhwc:
      return "nhwc";
    case Layout::C8:
      return "nChw8c";
    case Layout::C16:
      return "nChw16c";
  }
  return "unknown";
}

int64_t physical_count(const Shape& shape, Layout layout) noexcept {
  const int64_t block = channel_block(layout);
  if (block == 1 || shape.rank() < 3) return shape.count();
  return shape[0] * ((shape[1] + block - 1) / block * block) * shape.count(2, shape.rank());
}

}  // namespace fastort
