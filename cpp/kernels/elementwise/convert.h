#pragma once

#include <cstdint>
#include <optional>

#include "kernels/elementwise/small_float.h"
#include "tensor/data_type.h"

namespace fastort::kernels {

struct ConvertOptions {
  bool saturate = true;  // float8: the largest number instead of infinity or NaN
  ScaleRounding rounding = ScaleRounding::Up;
};

// Conversion between any two real types that are no strings. Floating-point numbers round to nearest even; integers
// lose their high bits; a float outside an integer's range gives what x86 gives (the lowest number of 32 or 64 bits,
// cut to the type).
class Convert {
 public:
  static std::optional<Convert> find(DataType from, DataType to, ConvertOptions options = {});
  void operator()(const void* src, void* dst, int64_t n) const;
  int64_t grain() const { return second_ || !first_ ? 4096 : 16384; }

 private:
  using Fn = void (*)(const void* src, void* dst, int64_t n);
  using LastFn = void (*)(const void* src, void* dst, int64_t n, const SmallFloat* kind, const ConvertOptions& options);

  size_t from_item_ = 0, to_item_ = 0;
  Fn first_ = nullptr;       // to the result, or to a block of float or int32
  LastFn second_ = nullptr;  // from that block to the result
  const SmallFloat* kind_ = nullptr;
  ConvertOptions options_;
};

}  // namespace fastort::kernels
