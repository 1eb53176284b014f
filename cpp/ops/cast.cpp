#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "kernels/elementwise/convert.h"
#include "ops/elementwise/operands.h"
#include "ops/gpu/move.h"
#include "ops/gpu/select.h"

namespace fastort {
namespace {

using kernels::Convert;
using kernels::ConvertOptions;
using kernels::ScaleRounding;

DataType target_type(const Attributes& attributes) {
  const int64_t to = attributes.get_int("to");
  if (to <= 0 || to >= kDataTypes)
    not_implemented("Cast: attribute 'to' = " + std::to_string(to) + " is no data type that fastort knows");
  return static_cast<DataType>(to);
}

void infer_to(InferContext& context, DataType type) {
  if (context.has_shape(0))
    context.out(0, type, context.shape(0));
  else
    context.out(0, type);
}

void infer_cast(InferContext& context) {
  const DataType to = target_type(context.attributes());
  infer_to(context, to);
  const bool sizes = to == DataType::Int64 || to == DataType::Int32;
  if (!sizes || (context.type(0) != DataType::Int64 && context.type(0) != DataType::Int32)) return;
  if (std::optional<Shape> dims = context.dims(0)) context.out_dims(0, std::move(*dims));
}

void infer_cast_like(InferContext& context) { infer_to(context, context.type(1)); }

ConvertOptions options_of(const OpContext& context) {
  ConvertOptions options;
  options.saturate = context.attributes().get_int("saturate", 1) != 0;
  const std::string mode = context.attributes().get_string("round_mode", "up");
  if (mode == "down")
    options.rounding = ScaleRounding::Down;
  else if (mode == "nearest")
    options.rounding = ScaleRounding::Nearest;
  else if (mode != "up")
    context.fail("attribute 'round_mode' must be 'up', 'down' or 'nearest', got '" + mode + "'");
  return options;
}

// ---- numbers ------------------------------------------------------------------------------------------------------

std::unique_ptr<Kernel> prepare_cast(const OpContext& context) {
  const DataType from = context.type(0), to = context.out(0).type;
  const int64_t count = elementwise::elements(context.out(0));
  const int64_t from_item = static_cast<int64_t>(element_size(from)), to_item = static_cast<int64_t>(element_size(to));
  if (from == to)
    return make_kernel([=](const KernelArgs& args) {
      if (args.in<std::byte>(0) == args.out<std::byte>(0)) return;
      args.parallel.range(count, 16384, [&](int64_t begin, int64_t end) {
        std::memcpy(args.out<std::byte>(0) + begin * to_item, args.in<std::byte>(0) + begin * from_item,
                    static_cast<size_t>((end - begin) * to_item));
      });
    });
  const std::optional<Convert> convert = Convert::find(from, to, options_of(context));
  if (!convert)
    not_implemented("Cast from " + std::string(name(from)) + " to " + std::string(name(to)) + " is not defined");
  return make_kernel([=, f = *convert](const KernelArgs& args) {
    const std::byte* src = args.in<std::byte>(0);
    std::byte* dst = args.out<std::byte>(0);
    args.parallel.range(count, f.grain(), [&](int64_t begin, int64_t end) {
      f(src + begin * from_item, dst + begin * to_item, end - begin);
    });
  });
}

Refusal refuse_cast(const OpContext& context) {
  if (context.type(0) == DataType::String || context.out(0).type == DataType::String) return "strings";
  return elementwise::refuse_operands(context, 1);
}

Refusal refuse_cast_without_strings(const OpContext& context) {
  if (context.type(0) == DataType::String || context.out(0).type == DataType::String) return std::nullopt;
  return "serves strings alone";
}

// ---- strings ------------------------------------------------------------------------------------------------------

bool is_real(DataType type) { return is_float(type); }

bool is_signed_int(DataType type) {
  return type == DataType::Int8 || type == DataType::Int16 || type == DataType::Int32 || type == DataType::Int64 ||
         type == DataType::Int4 || type == DataType::Int2;
}

// Eight significant digits, as ONNX Runtime writes both float and double.
std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "INF" : "-INF";
  char text[32];
  const int length = std::snprintf(text, sizeof text, "%.8g", value);
  return std::string(text, static_cast<size_t>(length));
}

[[noreturn]] void not_a_number(const std::string& text, const char* kind) {
  fail(ErrorCode::RuntimeException, "Cast: the string '" + text.substr(0, 64) + "' is not " + kind);
}

// The number at the start of the text, as C reads it.
double parse_real(const std::string& text) {
  errno = 0;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || (errno == ERANGE && std::isinf(value))) not_a_number(text, "a number");
  return value;
}

template <class T>
T parse_int(const std::string& text) {
  errno = 0;
  char* end = nullptr;
  T value;
  if constexpr (std::is_signed_v<T>)
    value = std::strtoll(text.c_str(), &end, 10);
  else
    value = std::strtoull(text.c_str(), &end, 10);
  if (end == text.c_str() || errno == ERANGE) not_a_number(text, "an integer that fits 64 bits");
  return value;
}

constexpr int64_t kStringBlock = 128;

template <class Wide, class Text>
std::unique_ptr<Kernel> to_strings(int64_t count, DataType from, const Convert& convert, Text text) {
  const int64_t item = static_cast<int64_t>(element_size(from));
  return make_kernel([=](const KernelArgs& args) {
    const std::byte* src = args.in<std::byte>(0);
    std::string* dst = args.out<std::string>(0);
    Wide block[kStringBlock];
    for (int64_t i = 0; i < count; i += kStringBlock) {
      const int64_t n = std::min(kStringBlock, count - i);
      convert(src + i * item, block, n);
      for (int64_t k = 0; k < n; ++k) dst[i + k] = text(block[k]);
    }
  });
}

template <class Wide, class Parse>
std::unique_ptr<Kernel> from_strings(int64_t count, DataType to, const Convert& convert, Parse parse) {
  const int64_t item = static_cast<int64_t>(element_size(to));
  return make_kernel([=](const KernelArgs& args) {
    const std::string* src = args.in<std::string>(0);
    std::byte* dst = args.out<std::byte>(0);
    Wide block[kStringBlock];
    for (int64_t i = 0; i < count; i += kStringBlock) {
      const int64_t n = std::min(kStringBlock, count - i);
      for (int64_t k = 0; k < n; ++k) block[k] = parse(src[i + k]);
      convert(block, dst + i * item, n);
    }
  });
}

std::unique_ptr<Kernel> prepare_string_cast(const OpContext& context) {
  const DataType from = context.type(0), to = context.out(0).type;
  const int64_t count = context.out(0).shape.count();
  if (from == to)
    return make_kernel(
        [=](const KernelArgs& args) { std::copy_n(args.in<std::string>(0), count, args.out<std::string>(0)); });
  const DataType number = from == DataType::String ? to : from;
  const DataType wide = is_real(number) ? DataType::Double : is_signed_int(number) ? DataType::Int64 : DataType::UInt64;
  const std::optional<Convert> convert = from == DataType::String ? Convert::find(wide, to, options_of(context))
                                                                  : Convert::find(from, wide, options_of(context));
  if (!convert)
    not_implemented("Cast from " + std::string(name(from)) + " to " + std::string(name(to)) + " is not defined");
  if (to == DataType::String) {
    if (wide == DataType::Double) return to_strings<double>(count, from, *convert, number_text);
    if (wide == DataType::Int64)
      return to_strings<int64_t>(count, from, *convert, [](int64_t v) { return std::to_string(v); });
    return to_strings<uint64_t>(count, from, *convert, [](uint64_t v) { return std::to_string(v); });
  }
  if (wide == DataType::Double) return from_strings<double>(count, to, *convert, parse_real);
  if (wide == DataType::Int64) return from_strings<int64_t>(count, to, *convert, parse_int<long long>);
  return from_strings<uint64_t>(count, to, *convert, parse_int<unsigned long long>);
}

// ---- BitCast ------------------------------------------------------------------------------------------------------

void infer_bit_cast(InferContext& context) {
  const DataType to = target_type(context.attributes());
  if (to == DataType::String || context.type(0) == DataType::String) context.fail("strings have no bit pattern");
  if (packed_bits(to) != packed_bits(context.type(0)))
    context.fail("cannot read " + std::string(name(context.type(0))) + " as " + std::string(name(to)) +
                 ", which has another width");
  infer_to(context, to);
}

// Elements narrower than a byte are held one to a byte, signed ones with their sign repeated.
std::unique_ptr<Kernel> prepare_bit_cast(const OpContext& context) {
  const DataType to = context.out(0).type;
  const size_t bytes = static_cast<size_t>(elementwise::elements(context.out(0))) * element_size(to);
  const int bits = packed_bits(to);
  const bool repeat_sign = to == DataType::Int4 || to == DataType::Int2;
  return make_kernel([=](const KernelArgs& args) {
    const uint8_t* src = args.in<uint8_t>(0);
    uint8_t* dst = args.out<uint8_t>(0);
    if (bits >= 8 && src != dst && bytes != 0) std::memcpy(dst, src, bytes);
    if (bits >= 8) return;
    const int mask = (1 << bits) - 1, sign = repeat_sign ? 1 << (bits - 1) : 0;
    for (size_t i = 0; i < bytes; ++i) dst[i] = static_cast<uint8_t>(((src[i] & mask) ^ sign) - sign);
  });
}

Refusal gpu_bit_cast(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const DataType from = context.type(0), to = context.out(0).type;
  if (packed_bits(from) < 8 || element_size(from) != element_size(to)) return "elements narrower than a byte";
  const kernels::StridedCopy copy(from, Shape{context.shape(0).count()}, {1}, {1});
  return gpu::add_copy(work, copy, GpuWork::input(0), GpuWork::output(0), traits);
}
constexpr GpuRecipe kGpuBitCast{kAllTypes, gpu_bit_cast};

Refusal refuse_bit_cast(const OpContext& context) { return elementwise::refuse_operands(context, 1); }

constexpr Candidate kCast[] = {
    {"elementwise", refuse_cast, prepare_cast, kAnyLayout},
    {"strings", refuse_cast_without_strings, prepare_string_cast},
};
constexpr Candidate kCastLike[] = {
    {"elementwise", refuse_cast, prepare_cast, kAnyLayout, nullptr, 1u},
    {"strings", refuse_cast_without_strings, prepare_string_cast},
};
constexpr Candidate kBitCast[] = {{"elementwise", refuse_bit_cast, prepare_bit_cast, kAnyLayout}};

constexpr OpDef kOps[] = {
    {"", "Cast", infer_cast, kCast, kAllTypes, kInPlace, 0, &gpu::kCast},
    {"", "CastLike", infer_cast_like, kCastLike, kAllTypes, kNone, 0, &gpu::kCast},
    {"", "BitCast", infer_bit_cast, kBitCast, kAllTypes, kInPlace, 0, &kGpuBitCast},
};

}  // namespace

std::span<const OpDef> cast_ops() { return kOps; }

}  // namespace fastort
