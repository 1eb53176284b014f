#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/elementwise/broadcast.h"
#include "kernels/softmax.h"
#include "ops/conv/conv.h"
#include "ops/core/move.h"
#include "ops/gpu/bytes.h"
#include "ops/gpu/rows.h"
#include "ops/gpu/typed.h"
#include "ops/quantized/params.h"

namespace fastort {
namespace {

using kernels::ByteRange;
using kernels::ByteScale;
using quantized::Affine;
using quantized::expect_affine;

constexpr int64_t kGrain = 32768;

// ---- QLinearAdd, QLinearMul ----------------------------------------------------------------------------------------

void infer_binary(InferContext& context) {
  quantized::require(context, {0, 3});
  const DataType type = context.type(0);
  quantized::expect(context, 3, type);
  for (const int scale : {1, 4, 6}) expect_affine(context, scale, scale + 1, type);
  if (!context.has_shape(0) || !context.has_shape(3)) return context.out(0, type);
  context.out(0, type, broadcast_shapes(context, context.shape(0), context.shape(3)));
}

Refusal accepts_binary(const OpContext& context) {
  const Layout out = context.out(0).layout;
  if (out == Layout::Plain && context.in(0).layout == out && context.in(3).layout == out) return {};
  const Shape &a = context.shape(0), &b = context.shape(3), &y = context.out(0).shape;
  if (context.in(0).layout != out || context.in(3).layout != out) return "operands in different layouts";
  if (a != y || b != y) return "operands that broadcast are plain";
  return {};
}

std::unique_ptr<Kernel> prepare_binary(const OpContext& context) {
  const DataType type = context.type(0);
  const Affine a(context, 1, 2, type), b(context, 4, 5, type), y(context, 6, 7, type);
  const bool multiply = context.node.op_type == "QLinearMul";
  Shape shapes[] = {context.shape(0), context.shape(3)};
  Shape out = context.out(0).shape;
  if (context.out(0).layout != Layout::Plain) {
    // The same bytes in another order.
    out = Shape{physical_count(out, context.out(0).layout)};
    shapes[0] = shapes[1] = out;
  }
  return make_kernel([=, attributes = context.attributes(),
                      broadcast = kernels::Broadcast::of(out, shapes)](const KernelArgs& args) {
    const ByteScale from_a = a.read(args), from_b = b.read(args), to = y.read(args);
    kernels::ByteBinary op;
    op.multiply = multiply;
    op.a_zero = from_a.zero, op.b_zero = from_b.zero;
    op.a_ratio = multiply ? from_a.scale * from_b.scale / to.scale : from_a.scale / to.scale;
    op.b_ratio = from_b.scale / to.scale;
    op.range = quantized::read_range(attributes, y.is_signed(), to);
    const kernels::Broadcast::Operand operands[] = {{args.in<std::byte>(0), 1}, {args.in<std::byte>(3), 1}};
    broadcast.run(args.parallel, kGrain, args.out<std::byte>(0), 1, operands,
                  [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                    kernels::byte_binary(op, src[0], broadcast.is_vector(0), src[1], broadcast.is_vector(1), dst, n);
                  });
  });
}

// ---- functions of one byte -----------------------------------------------------------------------------------------

void infer_unary(InferContext& context) {
  quantized::require(context, {0});
  expect_affine(context, 1, 2, context.type(0));
  expect_affine(context, 3, 4, context.type(0));
  infer_same(context);
}

void look_up(const std::array<std::byte, 256>& table, const KernelArgs& args, int64_t count) {
  args.parallel.range(count, kGrain, [&](int64_t begin, int64_t end) {
    kernels::byte_lookup(table.data(), args.in<std::byte>(0) + begin, args.out<std::byte>(0) + begin, end - begin);
  });
}

std::unique_ptr<Kernel> prepare_unary(const OpContext& context) {
  const Affine x(context, 1, 2, context.type(0)), y(context, 3, 4, context.type(0));
  const bool leaky = context.node.op_type == "QLinearLeakyRelu";
  const float alpha = context.attributes().get_float("alpha", 0.01f);
  const auto f = [=](float value) {
    if (leaky) return value < 0 ? alpha * value : value;
    return 1 / (1 + std::exp(-value));
  };
  const int64_t count = physical_count(context.out(0).shape, context.out(0).layout);
  const auto from = x.constant(context), to = y.constant(context);
  if (from && to) {
    const auto table = quantized::make_table(x.is_signed(), *from, y.is_signed(), *to, f);
    return make_kernel([table, count](const KernelArgs& args) { look_up(table, args, count); });
  }
  return make_kernel([=](const KernelArgs& args) {
    look_up(quantized::make_table(x.is_signed(), x.read(args), y.is_signed(), y.read(args), f), args, count);
  });
}

// fastort's own: any function of one byte, as a table of 256 for the bits of X.
void infer_table(InferContext& context) {
  quantized::require(context, {0, 1});
  const Tensor* table = context.value(1);
  if (!table || table->count() != 256 || !quantized::kBytes.has(table->type()))
    context.fail("the table must be a constant of 256 bytes");
  if (!context.has_shape(0)) return context.out(0, table->type());
  context.out(0, table->type(), context.shape(0));
}

std::unique_ptr<Kernel> prepare_table(const OpContext& context) {
  const int64_t count = physical_count(context.out(0).shape, context.out(0).layout);
  return make_kernel([count](const KernelArgs& args) {
    std::array<std::byte, 256> table;
    std::memcpy(table.data(), args.in<std::byte>(1), table.size());
    look_up(table, args, count);
  });
}

// ---- QLinearWhere --------------------------------------------------------------------------------------------------

void infer_where(InferContext& context) {
  quantized::require(context, {0, 1, 4});
  const DataType type = context.type(1);
  quantized::expect(context, 0, DataType::Bool);
  quantized::expect(context, 4, type);
  for (const int scale : {2, 5, 7}) expect_affine(context, scale, scale + 1, type);
  if (!context.has_shape(0) || !context.has_shape(1) || !context.has_shape(4)) return context.out(0, type);
  context.out(
      0, type,
      broadcast_shapes(context, broadcast_shapes(context, context.shape(0), context.shape(1)), context.shape(4)));
}

// Requantization is a function of one byte.
std::array<std::byte, 256> requantized(const Affine& x, const Affine& y, const KernelArgs& args) {
  return quantized::make_table(x.is_signed(), x.read(args), y.is_signed(), y.read(args), [](float v) { return v; });
}

std::unique_ptr<Kernel> prepare_where(const OpContext& context) {
  const DataType type = context.type(1);
  if (!quantized::kBytes.has(type)) not_implemented("QLinearWhere of " + std::string(name(type)));
  const Affine x(context, 2, 3, type), y(context, 5, 6, type), z(context, 7, 8, type);
  const Shape shapes[] = {context.shape(0), context.shape(1), context.shape(4)};
  return make_kernel([=, broadcast = kernels::Broadcast::of(context.out(0).shape, shapes)](const KernelArgs& args) {
    const auto x_table = requantized(x, z, args), y_table = requantized(y, z, args);
    const kernels::Broadcast::Operand operands[] = {
        {args.in<std::byte>(0), 1}, {args.in<std::byte>(1), 1}, {args.in<std::byte>(4), 1}};
    const int64_t steps[] = {broadcast.is_vector(0), broadcast.is_vector(1), broadcast.is_vector(2)};
    broadcast.run(args.parallel, kGrain, args.out<std::byte>(0), 1, operands,
                  [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                    for (int64_t i = 0; i < n; ++i)
                      dst[i] = src[0][i * steps[0]] != std::byte{0}
                                   ? x_table[static_cast<size_t>(src[1][i * steps[1]])]
                                   : y_table[static_cast<size_t>(src[2][i * steps[2]])];
                  });
  });
}

// ---- QLinearConcat -------------------------------------------------------------------------------------------------

void infer_concat(InferContext& context) {
  quantized::require(context, {0, 1});
  const DataType type = context.type(1);
  expect_affine(context, 0, 1, type);
  const int count = context.num_inputs();
  if (count < 5 || (count - 2) % 3 != 0) context.fail("its inputs come in threes: a tensor, its scale, its zero point");
  for (int i = 2; i < count; i += 3) {
    quantized::require(context, {i, i + 1, i + 2});
    quantized::expect(context, i, type);
    expect_affine(context, i + 1, i + 2, type);
    if (!context.has_shape(i)) return context.out(0, type);
  }
  Shape shape = context.shape(2);
  const int axis = normalize_axis(context, context.attributes().get_int("axis"), shape.rank());
  for (int i = 5; i < count; i += 3) {
    const Shape& more = context.shape(i);
    bool fits = more.rank() == shape.rank();
    for (int d = 0; fits && d < shape.rank(); ++d) {
      const Dim have = more[static_cast<size_t>(d)], want = shape[static_cast<size_t>(d)];
      fits = d == axis || have == want || !is_known(have) || !is_known(want);
    }
    if (!fits) context.fail("input " + std::to_string(i) + " does not fit the first one on another axis than 'axis'");
    Dim& total = shape[static_cast<size_t>(axis)];
    total = context.symbols.add(total, more[static_cast<size_t>(axis)]);
  }
  context.out(0, type, std::move(shape));
}

std::unique_ptr<Kernel> prepare_concat(const OpContext& context) {
  struct Part {
    Affine affine;
    int input;
    int64_t size;  // bytes of one row
  };
  const Shape& out = context.out(0).shape;
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis"), out.rank());
  const int64_t inner = out.count(axis + 1, out.rank()), outer = out.count(0, axis);
  const int64_t row = out[static_cast<size_t>(axis)] * inner;
  const Affine y(context, 0, 1, context.out(0).type);
  std::vector<Part> parts;
  for (int i = 2; i < context.num_inputs(); i += 3)
    parts.push_back(
        {Affine(context, i + 1, i + 2, context.type(i)), i, context.shape(i)[static_cast<size_t>(axis)] * inner});
  return make_kernel([=, parts = std::move(parts)](const KernelArgs& args) {
    std::byte* dst = args.out<std::byte>(0);
    for (const Part& part : parts) {
      const auto table = requantized(part.affine, y, args);
      const std::byte* src = args.in<std::byte>(part.input);
      args.parallel.range(outer, 1 + kGrain / std::max<int64_t>(1, part.size), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          kernels::byte_lookup(table.data(), src + i * part.size, dst + i * row, part.size);
      });
      dst += part.size;
    }
  });
}

// ---- QLinearSoftmax ------------------------------------------------------------------------------------------------

void infer_softmax(InferContext& context) {
  if (context.has_shape(0))
    normalize_axis(context, context.attributes().get_int("axis", -1), std::max(1, context.shape(0).rank()));
  infer_unary(context);
}

std::unique_ptr<Kernel> prepare_softmax(const OpContext& context) {
  const Affine x(context, 1, 2, context.type(0)), y(context, 3, 4, context.type(0));
  const Shape& shape = context.shape(0);
  const int rank = shape.rank();
  const int axis = rank == 0 ? 0 : normalize_axis(context.node, context.attributes().get_int("axis", -1), rank);
  // Before opset 13 the axes from `axis` on were one.
  const bool flat = context.attributes().get_int("opset") < 13;
  const int64_t outer = shape.count(0, axis), inner = flat ? 1 : shape.count(std::min(axis + 1, rank), rank);
  const int64_t count = shape.count(), n = outer * inner == 0 ? 0 : count / (outer * inner);
  return make_kernel(
      [=](const KernelArgs& args) {
        auto* values = reinterpret_cast<float*>(args.workspace);
        const ByteScale to = y.read(args), from = x.read(args);
        args.parallel.range(count, kGrain, [&](int64_t begin, int64_t end) {
          kernels::dequantize_bytes(args.in<std::byte>(0) + begin, x.is_signed(), from, values + begin, end - begin);
        });
        if (count > 0) kernels::softmax(values, values, outer, n, inner, false, args.parallel);
        const ByteRange range = ByteRange::of(y.is_signed(), to.zero);
        args.parallel.range(count, kGrain, [&](int64_t begin, int64_t end) {
          kernels::quantize_bytes(values + begin, to.scale, range, args.out<std::byte>(0) + begin, end - begin);
        });
      },
      static_cast<size_t>(count) * sizeof(float));
}

// ---- the GPU ------------------------------------------------------------------------------------------------------

using gpu::ByteFunction;
using gpu::ByteMap;
using gpu::ByteSide;

// The inputs are checked as for the CPU.
ByteSide side(const OpContext& context, int input, int scale, int zero, DataType type) {
  const Affine checked(context, scale, zero, type);
  return {input, scale, context.has_input(zero) ? zero : -1, checked.is_signed()};
}

Refusal gpu_binary(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const DataType type = context.type(0);
  ByteMap map;
  map.function = context.node.op_type == "QLinearMul" ? ByteFunction::Mul : ByteFunction::Add;
  map.a = side(context, 0, 1, 2, type);
  map.b = side(context, 3, 4, 5, type);
  map.y = side(context, -1, 6, 7, type);
  map.shape = context.out(0).shape;
  map.activation = conv::read_activation(context.attributes());
  return gpu::add_byte_map(context, map, traits, work);
}

Refusal gpu_unary(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  ByteMap map;
  map.function = context.node.op_type == "QLinearLeakyRelu" ? ByteFunction::LeakyRelu : ByteFunction::Sigmoid;
  map.a = side(context, 0, 1, 2, context.type(0));
  map.y = side(context, -1, 3, 4, context.type(0));
  map.shape = context.out(0).shape;
  map.alpha = context.attributes().get_float("alpha", 0.01f);
  return gpu::add_byte_map(context, map, traits, work);
}

Refusal gpu_table(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  ByteMap map;
  map.function = ByteFunction::LookUp;
  map.a.input = 0;
  map.b.input = 1;
  map.shape = context.out(0).shape;
  return gpu::add_byte_map(context, map, traits, work);
}

Refusal gpu_where(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const DataType type = context.type(1);
  ByteMap map;
  map.function = ByteFunction::Where;
  map.condition = 0;
  map.a = side(context, 1, 2, 3, type);
  map.b = side(context, 4, 5, 6, type);
  map.y = side(context, -1, 7, 8, type);
  map.shape = context.out(0).shape;
  return gpu::add_byte_map(context, map, traits, work);
}

Refusal gpu_concat(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Shape& out = context.out(0).shape;
  const int axis = normalize_axis(context.node, context.attributes().get_int("axis"), out.rank());
  const int64_t inner = out.count(axis + 1, out.rank());
  ByteMap map;
  map.y = side(context, -1, 0, 1, context.out(0).type);
  map.row = out[static_cast<size_t>(axis)] * inner;
  for (int i = 2; i < context.num_inputs(); i += 3) {
    map.a = side(context, i, i + 1, i + 2, context.type(i));
    map.shape = context.shape(i);
    map.part = map.shape[static_cast<size_t>(axis)] * inner;
    if (Refusal refusal = gpu::add_byte_map(context, map, traits, work)) return refusal;
    map.begin += map.part;
  }
  return std::nullopt;
}

// In float32 between a conversion to and fro.
Refusal gpu_softmax(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const ByteSide x = side(context, 0, 1, 2, context.type(0)), y = side(context, -1, 3, 4, context.type(0));
  std::string_view bytes;
  if (Refusal refusal = gpu::choose_by_type("quantize", context.type(0), traits, bytes)) return refusal;
  const std::string variant(bytes.substr(9));
  const Shape& shape = context.shape(0);
  const int rank = shape.rank();
  const int axis = rank == 0 ? 0 : normalize_axis(context.node, context.attributes().get_int("axis", -1), rank);
  const bool flat = context.attributes().get_int("opset") < 13;
  const int64_t outer = shape.count(0, axis), inner = flat ? 1 : shape.count(std::min(axis + 1, rank), rank);
  const int64_t count = shape.count(), n = count / (outer * inner);
  const GpuOperand values = work.scratch(static_cast<size_t>(count) * sizeof(float));
  const auto convert = [&](std::string_view shader, const ByteSide& by, GpuOperand result, GpuOperand source) {
    GpuDispatch& dispatch = work.dispatch(shader);
    dispatch.constants = {by.zero >= 0 ? 1u : 0u, 0, 0, 0};
    dispatch.operands = {result, source, GpuWork::input(by.scale),
                         by.zero >= 0 ? GpuWork::input(by.zero) : GpuWork::none()};
    dispatch.push.u32(count).u32(1).u32(1).u32(1).u32(1);
    dispatch.groups = groups_for(count, 64, traits);
  };
  convert(gpu::shader_name("quantize", "dequantize_" + variant), x, GpuWork::written(values), GpuWork::input(0));
  gpu::add_rows(work, "softmax", {outer, n, inner}, {0}, {GpuWork::written(values), values}, traits);
  convert(gpu::shader_name("quantize", "quantize_" + variant), y, GpuWork::output(0), values);
  return std::nullopt;
}

constexpr GpuRecipe kGpuBinary{quantized::kBytes, gpu_binary};
constexpr GpuRecipe kGpuUnary{quantized::kBytes, gpu_unary};
constexpr GpuRecipe kGpuTable{quantized::kBytes, gpu_table};
constexpr GpuRecipe kGpuWhere{TypeMask{DataType::Bool}, gpu_where};
constexpr GpuRecipe kGpuConcat{kFloat32, gpu_concat, /*takes_empty=*/true};
constexpr GpuRecipe kGpuSoftmax{quantized::kBytes, gpu_softmax};

constexpr Candidate kBinary[] = {{.name = "bytes",
                                  .accepts = accepts_binary,
                                  .prepare = prepare_binary,
                                  .variants = kAnyLayout,
                                  .layout_inputs = 1u << 0 | 1u << 3}};
constexpr Candidate kUnary[] = {
    {.name = "table", .prepare = prepare_unary, .variants = kAnyLayout, .layout_inputs = 1u << 0}};
constexpr Candidate kTable[] = {
    {.name = "table", .prepare = prepare_table, .variants = kAnyLayout, .layout_inputs = 1u << 0}};
constexpr Candidate kWhere[] = {{.name = "tables", .prepare = prepare_where}};
constexpr Candidate kConcat[] = {{.name = "tables", .prepare = prepare_concat}};
constexpr Candidate kSoftmax[] = {{.name = "floats", .prepare = prepare_softmax}};

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr OpDef kOps[] = {
    {.domain = kMicrosoft,
     .name = "QLinearAdd",
     .infer = infer_binary,
     .cpu = kBinary,
     .types = quantized::kBytes,
     .gpu = &kGpuBinary},
    {.domain = kMicrosoft,
     .name = "QLinearMul",
     .infer = infer_binary,
     .cpu = kBinary,
     .types = quantized::kBytes,
     .gpu = &kGpuBinary},
    {.domain = "fastort",
     .name = "QLinearAdd",
     .infer = infer_binary,
     .cpu = kBinary,
     .types = quantized::kBytes,
     .gpu = &kGpuBinary},
    {.domain = kMicrosoft,
     .name = "QLinearSigmoid",
     .infer = infer_unary,
     .cpu = kUnary,
     .types = quantized::kBytes,
     .gpu = &kGpuUnary},
    {.domain = kMicrosoft,
     .name = "QLinearLeakyRelu",
     .infer = infer_unary,
     .cpu = kUnary,
     .types = quantized::kBytes,
     .gpu = &kGpuUnary},
    {.domain = "fastort",
     .name = "ByteTable",
     .infer = infer_table,
     .cpu = kTable,
     .types = quantized::kBytes,
     .gpu = &kGpuTable},
    {.domain = kMicrosoft,
     .name = "QLinearWhere",
     .infer = infer_where,
     .cpu = kWhere,
     .types = TypeMask{DataType::Bool},
     .gpu = &kGpuWhere},
    {.domain = kMicrosoft,
     .name = "QLinearConcat",
     .infer = infer_concat,
     .cpu = kConcat,
     .types = kFloat32,
     .gpu = &kGpuConcat},
    {.domain = kMicrosoft,
     .name = "QLinearSoftmax",
     .infer = infer_softmax,
     .cpu = kSoftmax,
     .types = quantized::kBytes,
     .gpu = &kGpuSoftmax},
};

}  // namespace

std::span<const OpDef> qlinear_ops() { return kOps; }

}  // namespace fastort
