#include <algorithm>
#include <cmath>

#include "ops/quantized/gpu.h"
#include "ops/quantized/product.h"

namespace fastort {
namespace {

using kernels::ByteRange;
using kernels::ByteScale;
using kernels::IgemmEpilogue;
using quantized::Affine;
using quantized::Product;

// Regions behind the product's own workspace.
struct Scratch {
  size_t scales = 0, shift = 0, sums = 0, bytes = 0, a = 0;
};

float* floats_at(const KernelArgs& args, size_t offset) { return reinterpret_cast<float*>(args.workspace + offset); }

void check_columns(const OpContext& context, int input, int64_t columns, const char* what) {
  if (Refusal refusal = quantized::refuse_columns(context, input, columns, what)) context.fail(*refusal);
}

// ---- QGemm ---------------------------------------------------------------------------------------------------------

enum GemmInput { kA, kAScale, kAZero, kB, kBScale, kBZero, kC, kYScale, kYZero };

void infer_qgemm(InferContext& context) {
  quantized::require(context, {kA, kB});
  quantized::expect_affine(context, kAScale, kAZero, context.type(kA));
  quantized::expect_affine(context, kBScale, kBZero, context.type(kB));
  quantized::expect(context, kC, DataType::Int32);
  quantized::expect(context, kYScale, DataType::Float);
  if (context.has_input(kYZero) && !context.has_input(kYScale)) context.fail("y_zero_point comes without y_scale");
  DataType type = DataType::Float;
  if (context.has_input(kYScale)) type = context.has_input(kYZero) ? context.type(kYZero) : DataType::UInt8;
  if (!context.has_shape(kA) || !context.has_shape(kB)) return context.out(0, type);
  if (context.shape(kA).rank() != 2 || context.shape(kB).rank() != 2) context.fail("A and B must be matrices");
  const Attributes& attributes = context.attributes();
  Shape shape = matmul::product_shape(context, context.shape(kA), context.shape(kB),
                                      attributes.get_int("transA", 0) != 0, attributes.get_int("transB", 0) != 0);
  if (context.has_shape(kC)) {
    const Shape& c = context.shape(kC);
    bool fits = c.rank() <= 2;
    for (size_t d = 0; fits && d < c.size(); ++d) {
      const Dim want = shape[2 - c.size() + d];
      fits = c[d] == want || c[d] == 1 || !is_known(c[d]) || !is_known(want);
    }
    if (!fits) context.fail("C does not broadcast to the product " + to_string(shape));
  }
  context.out(0, type, std::move(shape));
}

class QGemmKernel final : public Kernel {
 public:
  explicit QGemmKernel(const OpContext& context)
      : a_(context, kAScale, kAZero, context.type(kA)),
        product_(
            context,
            matmul::plain_problem(context.shape(kA), context.shape(kB), context.attributes().get_int("transA", 0) != 0,
                                  context.attributes().get_int("transB", 0) != 0),
            {kA, kB, kBZero}, quantized::is_signed(context.type(kA)), quantized::is_signed(context.type(kB))),
        attributes_(context.attributes()),
        alpha_(context.attributes().get_float("alpha", 1)) {
    const matmul::Problem& p = product_.problem();
    check_columns(context, kBScale, p.n, "the scale of B");
    b_scales_ = context.shape(kBScale).count();
    if (context.has_input(kYScale)) y_ = Affine(context, kYScale, kYZero, context.out(0).type);
    if (context.has_input(kC)) {
      const Shape& c = context.shape(kC);
      c_columns_ = c.rank() > 0 ? c.back() : 1;
      c_rows_ = c.rank() > 1 ? c[0] : 1;
    }
    const auto columns = static_cast<size_t>(product_.padded_columns());
    scratch_.scales = align_up(product_.workspace_bytes());
    scratch_.shift = scratch_.scales + align_up(columns * sizeof(float));
    scratch_.sums = scratch_.shift + align_up(columns * sizeof(int32_t));
    bytes_ = scratch_.sums;
    if (c_rows_ > 1) bytes_ += static_cast<size_t>(p.m * p.n) * sizeof(int32_t);
  }

  size_t workspace_bytes() const override { return bytes_; }
  uint32_t unread_inputs() const override { return product_.unread_inputs(); }

  void run(const KernelArgs& args) const override {
    const matmul::Problem& p = product_.problem();
    const ByteScale a = a_.read(args);
    const ByteScale y = y_ ? y_->read(args) : ByteScale{};
    float* const scales = floats_at(args, scratch_.scales);
    auto* const bias = reinterpret_cast<int32_t*>(args.workspace + scratch_.shift);
    std::fill(scales, scales + product_.padded_columns(), 0.0f);
    std::fill(bias, bias + product_.padded_columns(), 0);
    for (int64_t j = 0; j < p.n; ++j) {
      scales[j] = alpha_ * a.scale * args.in<float>(kBScale)[b_scales_ == 1 ? 0 : j];
      if (y_) scales[j] /= y.scale;
      if (c_rows_ == 1) bias[j] = args.in<int32_t>(kC)[c_columns_ == 1 ? 0 : j];
    }
    IgemmEpilogue epilogue;
    epilogue.bias = bias;
    epilogue.scales = scales;
    const ByteRange range = y_ ? quantized::read_range(attributes_, y_->is_signed(), y) : ByteRange{};
    epilogue.low = range.low, epilogue.high = range.high, epilogue.zero = range.zero;
    using Kind = IgemmEpilogue::Kind;
    epilogue.kind = !y_ ? Kind::Floats : y_->is_signed() ? Kind::Int8 : Kind::UInt8;
    const std::byte* bytes = args.in<std::byte>(kA);
    if (c_rows_ <= 1) return product_.run(args, bytes, a.zero, epilogue, args.out<std::byte>(0), args.workspace);

    // C differs from row to row.
    IgemmEpilogue plain;
    auto* const sums = reinterpret_cast<int32_t*>(args.workspace + scratch_.sums);
    product_.run(args, bytes, a.zero, plain, reinterpret_cast<std::byte*>(sums), args.workspace);
    args.parallel.range(p.m, 1 + 16384 / std::max<int64_t>(1, p.n), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        for (int64_t j = 0; j < p.n; ++j) {
          const auto add = static_cast<uint32_t>(args.in<int32_t>(kC)[i * c_columns_ + (c_columns_ == 1 ? 0 : j)]);
          const auto sum = static_cast<int32_t>(static_cast<uint32_t>(sums[i * p.n + j]) + add);
          const float value = static_cast<float>(sum) * scales[j];
          if (y_)
            args.out<std::byte>(0)[i * p.n + j] = range(value);
          else
            args.out<float>(0)[i * p.n + j] = value;
        }
      }
    });
  }

 private:
  Affine a_;
  std::optional<Affine> y_;
  Product product_;
  Attributes attributes_;
  float alpha_;
  int64_t b_scales_ = 1, c_columns_ = 0, c_rows_ = 0;
  Scratch scratch_;
  size_t bytes_ = 0;
};

std::unique_ptr<Kernel> prepare_qgemm(const OpContext& context) { return std::make_unique<QGemmKernel>(context); }

// ---- MatMulIntegerToFloat, DynamicQuantizeMatMul -------------------------------------------------------------------

// Positions of the inputs of the two; -1 where it has none.
struct ToFloatInputs {
  int a, b, a_scale, b_scale, a_zero, b_zero, bias;
};
constexpr ToFloatInputs kToFloat{0, 1, 2, 3, 4, 5, 6};
constexpr ToFloatInputs kDynamic{0, 1, -1, 2, -1, 3, 4};

const ToFloatInputs& inputs_of(const Node& node) {
  return node.op_type == "DynamicQuantizeMatMul" ? kDynamic : kToFloat;
}

void infer_to_float(InferContext& context) {
  const ToFloatInputs& in = inputs_of(context.node);
  quantized::require(context, {in.a, in.b});
  if (in.a_scale >= 0) quantized::expect_affine(context, in.a_scale, in.a_zero, context.type(in.a));
  quantized::expect_affine(context, in.b_scale, in.b_zero, context.type(in.b));
  quantized::expect(context, in.bias, DataType::Float);
  if (!context.has_shape(in.a) || !context.has_shape(in.b)) return context.out(0, DataType::Float);
  Shape shape = matmul::product_shape(context, context.shape(in.a), context.shape(in.b), false, false);
  if (context.has_shape(in.bias)) {
    const Shape& bias = context.shape(in.bias);
    if (bias.rank() != 1 || shape.rank() == 0 ||
        (bias[0] != shape.back() && is_known(bias[0]) && is_known(shape.back())))
      context.fail("the bias must have one number for each column of the product " + to_string(shape));
  }
  context.out(0, DataType::Float, std::move(shape));
}

class ToFloatKernel final : public Kernel {
 public:
  explicit ToFloatKernel(const OpContext& context)
      : in_(inputs_of(context.node)),
        dynamic_(in_.a_scale < 0),
        product_(context, matmul::plain_problem(context.shape(in_.a), context.shape(in_.b), false, false),
                 {in_.a, in_.b, in_.b_zero}, !dynamic_ && quantized::is_signed(context.type(in_.a)),
                 quantized::is_signed(context.type(in_.b))),
        a_count_(context.shape(in_.a).count()),
        bias_(context.has_input(in_.bias)) {
    const matmul::Problem& p = product_.problem();
    check_columns(context, in_.b_scale, p.n, "the scale of B");
    b_scales_ = context.shape(in_.b_scale).count();
    if (!dynamic_) a_ = Affine(context, in_.a_scale, in_.a_zero, context.type(in_.a));
    const auto columns = static_cast<size_t>(product_.padded_columns());
    scratch_.scales = align_up(product_.workspace_bytes());
    scratch_.shift = scratch_.scales + align_up(columns * sizeof(float));
    scratch_.a = scratch_.shift + align_up(columns * sizeof(float));
    bytes_ = scratch_.a + (dynamic_ ? static_cast<size_t>(a_count_) : 0);
  }

  size_t workspace_bytes() const override { return bytes_; }
  uint32_t unread_inputs() const override { return product_.unread_inputs(); }

  void run(const KernelArgs& args) const override {
    const matmul::Problem& p = product_.problem();
    const std::byte* bytes = args.in<std::byte>(in_.a);
    ByteScale a;
    if (dynamic_) {
      a = quantize_a(args);
      bytes = args.workspace + scratch_.a;
    } else {
      a = a_.read(args);
    }
    float *const scales = floats_at(args, scratch_.scales), *const shift = floats_at(args, scratch_.shift);
    std::fill(scales, scales + product_.padded_columns(), 0.0f);
    std::fill(shift, shift + product_.padded_columns(), 0.0f);
    for (int64_t j = 0; j < p.n; ++j) {
      scales[j] = a.scale * args.in<float>(in_.b_scale)[b_scales_ == 1 ? 0 : j];
      if (bias_) shift[j] = args.in<float>(in_.bias)[j];
    }
    IgemmEpilogue epilogue;
    epilogue.kind = IgemmEpilogue::Kind::Floats;
    epilogue.scales = scales;
    epilogue.shift = bias_ ? shift : nullptr;
    product_.run(args, bytes, a.zero, epilogue, args.out<std::byte>(0), args.workspace);
  }

 private:
  // A as DynamicQuantizeLinear has it: uint8 over a range that holds its numbers and zero.
  ByteScale quantize_a(const KernelArgs& args) const {
    const float* a = args.in<float>(in_.a);
    ByteScale scale = kernels::dynamic_scale(kernels::float_range(a, a_count_, args.parallel));
    if (scale.scale == 0) scale.scale = 1;
    std::byte* const dst = args.workspace + scratch_.a;
    args.parallel.range(a_count_, 16384, [&](int64_t begin, int64_t end) {
      kernels::quantize_bytes(a + begin, scale.scale, ByteRange::of(false, scale.zero), dst + begin, end - begin);
    });
    return scale;
  }

  ToFloatInputs in_;
  bool dynamic_;
  Affine a_;
  Product product_;
  int64_t a_count_, b_scales_ = 1;
  bool bias_;
  Scratch scratch_;
  size_t bytes_ = 0;
};

std::unique_ptr<Kernel> prepare_to_float(const OpContext& context) { return std::make_unique<ToFloatKernel>(context); }

constexpr Candidate kQGemm[] = {{.name = "packed", .prepare = prepare_qgemm}};
constexpr Candidate kProductToFloat[] = {{.name = "packed", .prepare = prepare_to_float}};

constexpr std::string_view kMicrosoft = "com.microsoft";
constexpr OpDef kOps[] = {
    {.domain = kMicrosoft,
     .name = "QGemm",
     .infer = infer_qgemm,
     .cpu = kQGemm,
     .types = quantized::kBytes,
     .gpu = &quantized::kGpuQGemm},
    {.domain = "fastort",
     .name = "QGemm",
     .infer = infer_qgemm,
     .cpu = kQGemm,
     .types = quantized::kBytes,
     .gpu = &quantized::kGpuQGemm},
    {.domain = kMicrosoft,
     .name = "MatMulIntegerToFloat",
     .infer = infer_to_float,
     .cpu = kProductToFloat,
     .types = quantized::kBytes,
     .gpu = &quantized::kGpuToFloat},
    {.domain = kMicrosoft,
     .name = "DynamicQuantizeMatMul",
     .infer = infer_to_float,
     .cpu = kProductToFloat,
     .types = kFloat32,
     .gpu = &quantized::kGpuDynamicProduct},
};

}  // namespace

std::span<const OpDef> qgemm_ops() { return kOps; }

}  // namespace fastort
