#include "kernels/quantize.h"

#include <algorithm>

#include "kernels/quantized/bytes.h"
#include "ops/gpu/bytes.h"
#include "ops/gpu/convert.h"
#include "ops/gpu/typed.h"

namespace fastort {
namespace {

constexpr TypeMask kQuantized{
    DataType::Int8,           DataType::UInt8,        DataType::Int16,          DataType::UInt16,
    DataType::Int32,          DataType::Int4,         DataType::UInt4,          DataType::Int2,
    DataType::UInt2,          DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2,
    DataType::Float8E5M2FNUZ, DataType::Float4E2M1,   DataType::Float6E2M3,     DataType::Float6E3M2};
constexpr TypeMask kReal = TypeMask{DataType::Float, DataType::Float16, DataType::BFloat16, DataType::Int32};

// The type that an attribute names, or `fallback` where it is 0.
DataType named_type(const Attributes& attributes, std::string_view attribute, DataType fallback) {
  const int64_t value = attributes.get_int(attribute, 0);
  if (value < 0 || value >= kDataTypes) invalid_graph("attribute " + std::string(attribute) + " names no type");
  return value ? static_cast<DataType>(value) : fallback;
}

void check_scales(InferContext& context) {
  if (!context.has_shape(0) || !context.has_shape(1)) return;
  const Shape& x = context.shape(0);
  const Shape& scale = context.shape(1);
  const int64_t block = context.attributes().get_int("block_size", 0);
  if (block < 0) context.fail("block_size is negative");
  if (scale.is_concrete() && scale.count() == 1 && block == 0) return;
  const int axis = normalize_axis(context, context.attributes().get_int("axis", 1), x.rank());
  if (block == 0) {
    const Dim size = x[static_cast<size_t>(axis)];
    if (scale.rank() != 1 || (is_known(scale[0]) && is_known(size) && scale[0] != size)) {
      context.fail("the scale has the shape " + to_string(scale) + "; one element, or one for each of axis " +
                   std::to_string(axis) + " is needed");
    }
    return;
  }
  if (scale.rank() != x.rank()) context.fail("with block_size the scale needs the rank of the input");
  for (int i = 0; i < x.rank(); ++i) {
    const Dim size = x[static_cast<size_t>(i)], given = scale[static_cast<size_t>(i)];
    if (!is_known(size) || !is_known(given)) continue;
    const Dim wanted = i == axis ? size / block + (size % block != 0) : size;
    if (given != wanted) {
      context.fail("the scale has the shape " + to_string(scale) + ", which does not fit blocks of " +
                   std::to_string(block) + " along axis " + std::to_string(axis));
    }
  }
}

// The kernels read as many zero points as scales.
void check_zero(InferContext& context, DataType quantized) {
  if (!context.has_input(2)) return;
  const DataType type = context.type(2);
  if (type != quantized && type != DataType::Undefined && quantized != DataType::Undefined)
    context.fail("the zero point is of type " + std::string(name(type)) + ", the numbers are of type " +
                 std::string(name(quantized)));
  if (!context.has_shape(1) || !context.has_shape(2)) return;
  const Shape &scale = context.shape(1), &zero = context.shape(2);
  if (scale.is_concrete() && zero.is_concrete() && scale.count() != zero.count())
    context.fail("the zero point has the shape " + to_string(zero) + ", the scale " + to_string(scale));
}

void infer_quantize(InferContext& context) {
  const DataType fallback = named_type(context.attributes(), "output_dtype", DataType::UInt8);
  const DataType type = context.has_input(2) ? context.type(2) : fallback;
  if (type != DataType::Undefined && !kQuantized.has(type)) {
    context.fail("cannot quantize to " + std::string(name(type)));
  }
  check_scales(context);
  check_zero(context, type);
  if (!context.has_shape(0)) return context.out(0, type);
  context.out(0, type, context.shape(0));
}

void infer_dequantize(InferContext& context) {
  const DataType type = named_type(context.attributes(), "output_dtype", context.type(1));
  check_scales(context);
  check_zero(context, context.type(0));
  if (!context.has_shape(0)) return context.out(0, type);
  context.out(0, type, context.shape(0));
}

kernels::ScaleGrid grid_of(const OpContext& context) {
  kernels::ScaleGrid grid;
  const Shape& x = context.shape(0);
  const int64_t block = context.attributes().get_int("block_size", 0);
  if (block == 0 && context.shape(1).count() == 1) {
    grid.inner = x.count();
    return grid;
  }
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis", 1), x.rank());
  grid.outer = x.count(0, axis);
  grid.axis = x[static_cast<size_t>(axis)];
  grid.inner = x.count(axis + 1, x.rank());
  grid.axis_block = block ? std::min(block, std::max<int64_t>(grid.axis, 1)) : 1;
  grid.per_inner = block != 0;
  return grid;
}

std::unique_ptr<Kernel> prepare_quantize(const OpContext& context) {
  const DataType precision = named_type(context.attributes(), "precision", context.type(1));
  const kernels::Quantizer quantizer(context.type(0), context.type(1), context.out(0).type, precision,
                                     context.attributes().get_int("saturate", 1) != 0, grid_of(context));
  const bool has_zero = context.has_input(2);
  return make_kernel([quantizer, has_zero](const KernelArgs& args) {
    quantizer.quantize(args.in<std::byte>(0), args.in<std::byte>(1), has_zero ? args.in<std::byte>(2) : nullptr,
                       args.out<std::byte>(0), args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_dequantize(const OpContext& context) {
  const kernels::Quantizer quantizer(context.out(0).type, context.type(1), context.type(0), DataType::Float, true,
                                     grid_of(context));
  const bool has_zero = context.has_input(2);
  return make_kernel([quantizer, has_zero](const KernelArgs& args) {
    quantizer.dequantize(args.in<std::byte>(0), args.in<std::byte>(1), has_zero ? args.in<std::byte>(2) : nullptr,
                         args.out<std::byte>(0), args.parallel);
  });
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

// What the shader asks of a node. The zero points may be another operand than the node's.
void add_linear(const OpContext& context, std::string_view shader, uint32_t bits, bool rounds_half, GpuOperand result,
                GpuOperand source, GpuOperand zero, const GpuTraits& traits, GpuWork& work) {
  const kernels::ScaleGrid grid = grid_of(context);
  const int64_t count = context.shape(0).count(), block = std::max<int64_t>(grid.axis_block, 1);
  GpuDispatch& dispatch = work.dispatch(shader);
  dispatch.constants = {zero.kind != GpuOperand::Kind::None ? 1u : 0u,
                        grid.axis_block == 0 ? 0u
                        : grid.per_inner     ? 2u
                                             : 1u,
                        bits, rounds_half ? 1u : 0u};
  dispatch.operands = {result, source, GpuWork::input(1), zero};
  dispatch.push.u32(count).u32(grid.axis).u32(grid.inner).u32(block).u32((grid.axis + block - 1) / block);
  dispatch.groups = groups_for(count, 64, traits);
}

// Types that are no integers: through float32.
Refusal gpu_small_floats(const OpContext& context, const GpuTraits& traits, GpuWork& work, bool quantizes,
                         DataType quantized, bool rounds_half) {
  const auto floats = [&](int64_t count) { return work.scratch(static_cast<size_t>(count) * sizeof(float)); };
  GpuOperand zero;
  if (context.has_input(2)) {
    zero = floats(context.shape(2).count());
    const gpu::Converted converted{quantized, DataType::Float, context.shape(2).count(), GpuWork::written(zero),
                                   GpuWork::input(2)};
    if (Refusal refusal = gpu::add_convert(work, converted, traits)) return refusal;
  }
  const int64_t count = context.shape(0).count();
  const GpuOperand values = floats(count);
  if (quantizes) {
    add_linear(context, "quantize.scale", 0, rounds_half, GpuWork::written(values), GpuWork::input(0), zero, traits,
               work);
    const bool saturate = context.attributes().get_int("saturate", 1) != 0;
    return gpu::add_convert(work, {DataType::Float, quantized, count, GpuWork::output(0), values, saturate}, traits);
  }
  const gpu::Converted converted{quantized, DataType::Float, count, GpuWork::written(values), GpuWork::input(0)};
  if (Refusal refusal = gpu::add_convert(work, converted, traits)) return refusal;
  add_linear(context, "quantize.unscale", 0, false, GpuWork::output(0), values, zero, traits, work);
  return std::nullopt;
}

// `real` and `quantized` are the types on either side; the shader's scales are float32.
Refusal gpu_linear(const OpContext& context, const GpuTraits& traits, GpuWork& work, bool quantizes) {
  const DataType real = quantizes ? context.type(0) : context.out(0).type;
  const DataType quantized = quantizes ? context.out(0).type : context.type(0);
  const bool half = quantizes && real == DataType::Float16;
  if ((real != DataType::Float && !half) || context.type(1) != real)
    return "numbers or scales of another type than float32, or float16 to be quantized";
  const DataType precision = named_type(context.attributes(), "precision", real);
  if (quantizes && precision != DataType::Float && precision != DataType::Float16) return "another precision";
  if (half && !traits.storage16) return "16-bit numbers, which the device's shaders cannot store";
  if (context.has_input(2) && context.type(2) != quantized) return "a zero point of another type";
  const bool rounds_half = precision == DataType::Float16;
  // Narrow integers are held one to a byte.
  const bool is_signed = quantized == DataType::Int4 || quantized == DataType::Int2;
  const bool narrow = is_signed || quantized == DataType::UInt4 || quantized == DataType::UInt2;
  const DataType held = !narrow ? quantized : is_signed ? DataType::Int8 : DataType::UInt8;
  if (!kIntTypes.has(held)) {
    if (half) return "float16 to " + std::string(name(quantized));
    return gpu_small_floats(context, traits, work, quantizes, quantized, rounds_half);
  }
  if (element_size(held) > (quantizes ? 2 : 4)) return "no shader for " + std::string(name(quantized));
  std::string_view shader;
  if (Refusal refusal = gpu::choose_by_type("quantize", held, traits, shader)) return refusal;
  shader = gpu::shader_name("quantize", (half        ? "quantize_half_"
                                         : quantizes ? "quantize_"
                                                     : "dequantize_") +
                                            std::string(shader.substr(9)));
  add_linear(context, shader, narrow ? static_cast<uint32_t>(packed_bits(quantized)) : 0u, rounds_half,
             GpuWork::output(0), GpuWork::input(0), context.has_input(2) ? GpuWork::input(2) : GpuWork::none(), traits,
             work);
  return std::nullopt;
}

template <bool quantizes>
Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  return gpu_linear(context, traits, work, quantizes);
}
constexpr GpuRecipe kGpuQuantize{kFloat32 | TypeMask{DataType::Float16}, gpu_work<true>};
constexpr GpuRecipe kGpuDequantize{kQuantized, gpu_work<false>};

// ---- DynamicQuantizeLinear -----------------------------------------------------------------------------------------

void infer_dynamic(InferContext& context) {
  context.out(1, DataType::Float, Shape{});
  context.out(2, DataType::UInt8, Shape{});
  if (!context.has_shape(0)) return context.out(0, DataType::UInt8);
  context.out(0, DataType::UInt8, context.shape(0));
}

std::unique_ptr<Kernel> prepare_dynamic(const OpContext& context) {
  return make_kernel([count = context.shape(0).count(), has_scale = context.has_output(1),
                      has_zero = context.has_output(2)](const KernelArgs& args) {
    const float* x = args.in<float>(0);
    const kernels::ByteScale scale = kernels::dynamic_scale(kernels::float_range(x, count, args.parallel));
    if (has_scale) *args.out<float>(1) = scale.scale;
    if (has_zero) *args.out<uint8_t>(2) = static_cast<uint8_t>(scale.zero);
    const auto range = kernels::ByteRange::of(false, scale.zero);
    args.parallel.range(count, 16384, [&](int64_t begin, int64_t end) {
      kernels::quantize_bytes(x + begin, scale.scale, range, args.out<std::byte>(0) + begin, end - begin);
    });
  });
}

Refusal gpu_dynamic(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  gpu::DynamicBytes bytes{context.shape(0).count(), GpuWork::output(0), GpuWork::input(0), {}, {}};
  if (context.has_output(1)) bytes.scale = GpuWork::output(1);
  if (context.has_output(2)) bytes.zero = GpuWork::output(2);
  return gpu::add_dynamic_quantize(bytes, traits, work);
}

constexpr GpuRecipe kGpuDynamic{kFloat32, gpu_dynamic};

constexpr Candidate kDynamic[] = {{"linear", nullptr, prepare_dynamic}};
constexpr Candidate kQuantize[] = {{"linear", nullptr, prepare_quantize}};
constexpr Candidate kDequantize[] = {{"linear", nullptr, prepare_dequantize}};

constexpr OpDef kOps[] = {
    {"", "QuantizeLinear", infer_quantize, kQuantize, kReal, kNone, 0, &kGpuQuantize},
    {"", "DequantizeLinear", infer_dequantize, kDequantize, kQuantized, kNone, 0, &kGpuDequantize},
    {"", "DynamicQuantizeLinear", infer_dynamic, kDynamic, kFloat32, kNone, 0, &kGpuDynamic},
    {"com.microsoft", "QuantizeLinear", infer_quantize, kQuantize, kReal, kNone, 0, &kGpuQuantize},
    {"com.microsoft", "DequantizeLinear", infer_dequantize, kDequantize, kQuantized, kNone, 0, &kGpuDequantize},
};

}  // namespace

std::span<const OpDef> quantize_ops() { return kOps; }

}  // namespace fastort
