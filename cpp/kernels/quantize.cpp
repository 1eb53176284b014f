#include "kernels/quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/quantized/bytes.h"

namespace fastort::kernels {
namespace {

constexpr int64_t kBlock = 512;
constexpr int64_t kBytesGrain = 16384;

struct Range {
  float low, high;
};

Range range_of(DataType type) {
  switch (type) {
    case DataType::Int2:
      return {-2, 1};
    case DataType::UInt2:
      return {0, 3};
    case DataType::Int4:
      return {-8, 7};
    case DataType::UInt4:
      return {0, 15};
    case DataType::Int8:
      return {-128, 127};
    case DataType::UInt8:
      return {0, 255};
    case DataType::Int16:
      return {-32768, 32767};
    case DataType::UInt16:
      return {0, 65535};
    default:
      return {-2147483648.0f, 2147483520.0f};
  }
}

// Half to even, without a call: adding 2^23 leaves no room for a fraction. Larger numbers have none.
float round_even(float value) {
  constexpr float kShift = 8388608.0f;
  const float shift = std::copysign(kShift, value);
  return std::fabs(value) < kShift ? (value + shift) - shift : value;
}

Convert conversion(DataType from, DataType to, bool saturate = true) {
  auto found = Convert::find(from, to, {.saturate = saturate});
  if (!found) {
    not_implemented("quantization between the types " + std::string(name(from)) + " and " + std::string(name(to)));
  }
  return *found;
}

}  // namespace

Quantizer::Quantizer(DataType real, DataType scale, DataType quantized, DataType precision, bool saturate,
                     ScaleGrid grid)
    : integer_(is_integer(quantized)),
      grid_(grid),
      read_real_(conversion(real, DataType::Float)),
      write_real_(conversion(DataType::Float, real)),
      read_scale_(conversion(scale, DataType::Float)),
      read_quantized_(conversion(quantized, DataType::Float)),
      write_quantized_(conversion(DataType::Float, quantized, saturate)),
      real_size_(element_size(real)),
      scale_size_(element_size(scale)),
      quantized_size_(element_size(quantized)) {
  if (integer_) {
    low_ = range_of(quantized).low;
    high_ = range_of(quantized).high;
  }
  signed_ = quantized == DataType::Int8;
  bytes_ = real == DataType::Float && scale == DataType::Float && grid.axis_block == 0 &&
           (signed_ || quantized == DataType::UInt8) && precision == DataType::Float;
  if (precision == DataType::Float16 || precision == DataType::BFloat16) {
    to_precision_ = conversion(DataType::Float, precision);
    from_precision_ = conversion(precision, DataType::Float);
  }
}

// Calls row(begin, count, scales, zeros, stride) for pieces of at most kBlock neighbours, where stride 0 means one
// scale for the whole piece.
template <class Row>
void Quantizer::rows(const std::byte* scale, const std::byte* zero, const Parallel& parallel, Row row) const {
  const auto read = [&](int64_t index, int64_t count, float* scales, float* zeros) {
    read_scale_(scale + static_cast<size_t>(index) * scale_size_, scales, count);
    if (zero) {
      read_quantized_(zero + static_cast<size_t>(index) * quantized_size_, zeros, count);
    } else {
      std::fill_n(zeros, count, 0.0f);
    }
  };
  const int64_t total = grid_.outer * grid_.axis * grid_.inner;
  if (grid_.axis_block == 0) {
    parallel.range((total + kBlock - 1) / kBlock, 16, [&](int64_t begin, int64_t end) {
      float one_scale, one_zero;
      read(0, 1, &one_scale, &one_zero);
      for (int64_t b = begin; b < end; ++b) {
        row(b * kBlock, std::min(kBlock, total - b * kBlock), &one_scale, &one_zero, 0);
      }
    });
    return;
  }
  const int64_t groups = (grid_.axis + grid_.axis_block - 1) / grid_.axis_block;
  // Along the innermost axis each neighbour may have its own scale.
  const bool innermost = grid_.inner == 1;
  const int64_t lines = innermost ? grid_.outer : grid_.outer * grid_.axis;
  const int64_t length = innermost ? grid_.axis : grid_.inner;
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, length));
  parallel.range(lines, grain, [&](int64_t begin, int64_t end) {
    float scales[kBlock], zeros[kBlock];
    for (int64_t line = begin; line < end; ++line) {
      const int64_t o = innermost ? line : line / grid_.axis;
      const int64_t a = innermost ? 0 : line % grid_.axis;
      for (int64_t at = 0; at < length; at += kBlock) {
        const int64_t count = std::min(kBlock, length - at);
        int64_t stride = 1;
        if (innermost) {
          const int64_t base = grid_.per_inner ? o * groups : 0;
          if (grid_.axis_block == 1) {
            read(base + at, count, scales, zeros);
          } else {
            for (int64_t i = 0; i < count; ++i) read(base + (at + i) / grid_.axis_block, 1, scales + i, zeros + i);
          }
        } else if (grid_.per_inner) {
          read((o * groups + a / grid_.axis_block) * grid_.inner + at, count, scales, zeros);
        } else {
          read(a / grid_.axis_block, 1, scales, zeros);
          stride = 0;
        }
        row(line * length + at, count, scales, zeros, stride);
      }
    }
  });
}

void Quantizer::quantize(const std::byte* x, const std::byte* scale, const std::byte* zero, std::byte* q,
                         const Parallel& parallel) const {
  if (bytes_) {
    const auto* from = reinterpret_cast<const float*>(x);
    const float divisor = *reinterpret_cast<const float*>(scale);
    const auto range = ByteRange::of(signed_, zero ? read_byte(*zero, signed_) : 0);
    return parallel.range(grid_.outer * grid_.axis * grid_.inner, kBytesGrain, [&](int64_t begin, int64_t end) {
      quantize_bytes(from + begin, divisor, range, q + begin, end - begin);
    });
  }
  rows(scale, zero, parallel,
       [&](int64_t begin, int64_t count, const float* scales, const float* zeros, int64_t stride) {
         float values[kBlock];
         uint16_t narrow[kBlock];
         read_real_(x + static_cast<size_t>(begin) * real_size_, values, count);
         for (int64_t i = 0; i < count; ++i) values[i] /= scales[i * stride];
         if (to_precision_) {
           (*to_precision_)(values, narrow, count);
           (*from_precision_)(narrow, values, count);
         }
         if (integer_) {
           for (int64_t i = 0; i < count; ++i) {
             const float moved = round_even(values[i]) + zeros[i * stride];
             values[i] = moved >= low_ ? (moved <= high_ ? moved : high_) : low_;
           }
         } else if (zero) {
           for (int64_t i = 0; i < count; ++i) values[i] += zeros[i * stride];
         }
         write_quantized_(values, q + static_cast<size_t>(begin) * quantized_size_, count);
       });
}

void Quantizer::dequantize(const std::byte* q, const std::byte* scale, const std::byte* zero, std::byte* x,
                           const Parallel& parallel) const {
  if (bytes_) {
    auto* to = reinterpret_cast<float*>(x);
    const ByteScale by{*reinterpret_cast<const float*>(scale), zero ? read_byte(*zero, signed_) : 0};
    return parallel.range(grid_.outer * grid_.axis * grid_.inner, kBytesGrain, [&](int64_t begin, int64_t end) {
      dequantize_bytes(q + begin, signed_, by, to + begin, end - begin);
    });
  }
  rows(scale, zero, parallel,
       [&](int64_t begin, int64_t count, const float* scales, const float* zeros, int64_t stride) {
         float values[kBlock];
         read_quantized_(q + static_cast<size_t>(begin) * quantized_size_, values, count);
         for (int64_t i = 0; i < count; ++i) values[i] = (values[i] - zeros[i * stride]) * scales[i * stride];
         write_real_(values, x + static_cast<size_t>(begin) * real_size_, count);
       });
}

}  // namespace fastort::kernels
