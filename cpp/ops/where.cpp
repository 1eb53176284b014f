// Operators that choose elements: Where, Clip and Dropout.
#include <atomic>
#include <cstring>
#include <random>

#include "kernels/elementwise/binary.h"
#include "kernels/elementwise/clip.h"
#include "kernels/elementwise/convert.h"
#include "kernels/elementwise/select.h"
#include "ops/core/move.h"
#include "ops/elementwise/operands.h"
#include "ops/gpu/elementwise.h"
#include "ops/gpu/fill.h"
#include "ops/gpu/move.h"
#include "ops/gpu/select.h"

namespace fastort {
namespace {

using kernels::Broadcast;

// ---- Where --------------------------------------------------------------------------------------------------------

void infer_where(InferContext& context) {
  if (elementwise::differ(context.type(0), DataType::Bool)) context.fail("the condition must be bool");
  if (elementwise::differ(context.type(1), context.type(2)))
    context.fail("X and Y must have one type, got " + std::string(name(context.type(1))) + " and " +
                 std::string(name(context.type(2))));
  if (!context.has_shape(0) || !context.has_shape(1) || !context.has_shape(2)) return context.out(0, context.type(1));
  const Shape shape = broadcast_shapes(context, context.shape(0), context.shape(1));
  context.out(0, context.type(1), broadcast_shapes(context, shape, context.shape(2)));
  // Sizes stay known where the condition is.
  const Tensor* condition = context.value(0);
  const std::optional<Shape> x = context.dims(1), y = context.dims(2);
  if (!condition || !x || !y || condition->shape().rank() > 1) return;
  const size_t n = std::max({x->size(), y->size(), static_cast<size_t>(condition->count())});
  auto fits = [n](size_t size) { return size == 1 || size == n; };
  if (!fits(x->size()) || !fits(y->size()) || !fits(static_cast<size_t>(condition->count()))) return;
  Shape chosen;
  for (size_t i = 0; i < n; ++i) {
    const Shape& from = condition->data<bool>()[condition->count() == 1 ? 0 : i] ? *x : *y;
    chosen.push_back(from[from.size() == 1 ? 0 : i]);
  }
  context.out_dims(0, std::move(chosen));
}

std::unique_ptr<Kernel> prepare_where(const OpContext& context) {
  elementwise::check_same_type(context, 1, 3);
  const size_t item = element_size(context.type(1));
  const kernels::SelectFn select = kernels::select(item);
  if (!select) context.fail("is not defined for " + std::string(name(context.type(1))));
  const Broadcast loops = elementwise::nest(context, 3);
  const elementwise::Padding padding(context.out(0));
  return make_kernel([=](const KernelArgs& args) {
    const Broadcast::Operand operands[] = {
        {args.in<std::byte>(0), 1}, {args.in<std::byte>(1), item}, {args.in<std::byte>(2), item}};
    loops.run(args.parallel, 16384, args.out<std::byte>(0), item, operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                select(reinterpret_cast<const uint8_t*>(src[0]), loops.is_vector(0), src[1], loops.is_vector(1), src[2],
                       loops.is_vector(2), dst, n);
              });
    padding.clear(args.out<std::byte>(0), args.parallel);
  });
}

std::unique_ptr<Kernel> prepare_where_strings(const OpContext& context) {
  elementwise::check_same_type(context, 1, 3);
  const Broadcast loops = elementwise::nest(context, 3);
  return make_kernel([=](const KernelArgs& args) {
    const Broadcast::Operand operands[] = {{args.in<std::byte>(0), 1},
                                           {args.in<std::byte>(1), sizeof(std::string)},
                                           {args.in<std::byte>(2), sizeof(std::string)}};
    loops.run(args.parallel, 4096, args.out<std::byte>(0), sizeof(std::string), operands,
              [&](std::byte* dst, const std::byte* const* src, int64_t n) {
                const auto* condition = reinterpret_cast<const uint8_t*>(src[0]);
                const auto* x = reinterpret_cast<const std::string*>(src[1]);
                const auto* y = reinterpret_cast<const std::string*>(src[2]);
                auto* to = reinterpret_cast<std::string*>(dst);
                for (int64_t i = 0; i < n; ++i)
                  to[i] = condition[loops.is_vector(0) ? i : 0] ? x[loops.is_vector(1) ? i : 0]
                                                                : y[loops.is_vector(2) ? i : 0];
              });
  });
}

// ---- Clip ---------------------------------------------------------------------------------------------------------

void infer_clip(InferContext& context) {
  for (int i = 1; i < std::min(3, context.num_inputs()); ++i) {
    if (!context.has_input(i)) continue;
    if (elementwise::differ(context.type(i), context.type(0)))
      context.fail("min and max must have the input's type " + std::string(name(context.type(0))));
  }
  infer_same(context);
}

std::unique_ptr<Kernel> prepare_clip(const OpContext& context) {
  const kernels::ClipFn clip = kernels::clip(context.type(0));
  if (!clip) context.fail("is not defined for " + std::string(name(context.type(0))));
  for (int i = 1; i < std::min(3, context.num_inputs()); ++i)
    if (context.has_input(i) && context.shape(i).count() != 1)
      context.fail("min and max must be scalars, got " + to_string(context.shape(i)));
  const bool has_low = context.has_input(1), has_high = context.has_input(2);
  const int64_t item = static_cast<int64_t>(element_size(context.type(0)));
  const int64_t count = elementwise::elements(context.out(0));
  const elementwise::Padding padding(context.out(0));
  return make_kernel([=](const KernelArgs& args) {
    const std::byte* src = args.in<std::byte>(0);
    std::byte* dst = args.out<std::byte>(0);
    // The bounds are copied, because the output may lie over them.
    uint64_t low = 0, high = 0;
    if (has_low) std::memcpy(&low, args.in<std::byte>(1), static_cast<size_t>(item));
    if (has_high) std::memcpy(&high, args.in<std::byte>(2), static_cast<size_t>(item));
    args.parallel.range(count, 16384, [&](int64_t begin, int64_t end) {
      clip(src + begin * item, dst + begin * item, end - begin, has_low ? &low : nullptr, has_high ? &high : nullptr);
    });
    padding.clear(dst, args.parallel);
  });
}

Refusal refuse_clip(const OpContext& context) { return elementwise::refuse_operands(context, 1); }

// ---- Dropout ------------------------------------------------------------------------------------------------------

void infer_dropout(InferContext& context) {
  infer_same(context);
  if (context.num_outputs() < 2) return;
  if (context.has_shape(0))
    context.out(1, DataType::Bool, context.shape(0));
  else
    context.out(1, DataType::Bool);
}

// Numbers in [0, 1) as NumPy's RandomState draws them, so that a seed means what it means there.
class Uniform {
 public:
  explicit Uniform(uint32_t seed) : bits_(seed) {}
  double next() {
    const uint32_t high = static_cast<uint32_t>(bits_()) >> 5, low = static_cast<uint32_t>(bits_()) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }

 private:
  std::mt19937 bits_;
};

uint32_t next_seed() {
  static std::atomic<uint32_t> calls{0};
  return 0x9e3779b9u * (calls.fetch_add(1, std::memory_order_relaxed) + 1);
}

struct Dropout {
  DataType type;
  DataType ratio_type;
  bool has_ratio, has_training_mode, has_mask;
  int64_t count;
  std::optional<uint32_t> seed;
  std::optional<kernels::Convert> widen, narrow, ratio_to_float;

  void run(const KernelArgs& args) const {
    const std::byte* src = args.in<std::byte>(0);
    std::byte* dst = args.out<std::byte>(0);
    bool* mask = has_mask ? args.out<bool>(1) : nullptr;
    float ratio = 0.5f;
    if (has_ratio) (*ratio_to_float)(args.in<std::byte>(1), &ratio, 1);
    const bool training = has_training_mode && *args.in<uint8_t>(2) != 0;
    if (!training || ratio == 0) {
      if (src != dst && count > 0) std::memcpy(dst, src, static_cast<size_t>(count) * element_size(type));
      if (mask) std::fill_n(mask, count, true);
      return;
    }
    if (!(ratio > 0 && ratio < 1)) invalid_argument("Dropout: the ratio must lie in [0, 1)");
    // Drawn in the order of the elements, on one thread: the result depends on nothing but the seed.
    Uniform uniform(seed ? *seed : next_seed());
    const double scale = 1 / (1 - static_cast<double>(ratio));
    const int64_t item = static_cast<int64_t>(element_size(type));
    constexpr int64_t kBlock = 256;
    double block[kBlock];
    for (int64_t i = 0; i < count; i += kBlock) {
      const int64_t n = std::min(kBlock, count - i);
      (*widen)(src + i * item, block, n);
      for (int64_t k = 0; k < n; ++k) {
        const bool keep = uniform.next() >= static_cast<double>(ratio);
        block[k] = keep ? block[k] * scale : 0;
        if (mask) mask[i + k] = keep;
      }
      (*narrow)(block, dst + i * item, n);
    }
  }
};

std::unique_ptr<Kernel> prepare_dropout(const OpContext& context) {
  Dropout dropout{};
  dropout.type = context.type(0);
  dropout.has_ratio = context.has_input(1);
  dropout.has_training_mode = context.has_input(2);
  dropout.has_mask = context.has_output(1);
  dropout.count = elementwise::elements(context.out(0));
  if (context.attributes().has("seed")) dropout.seed = static_cast<uint32_t>(context.attributes().get_int("seed", 0));
  dropout.widen = kernels::Convert::find(dropout.type, DataType::Double);
  dropout.narrow = kernels::Convert::find(DataType::Double, dropout.type);
  if (dropout.has_ratio) dropout.ratio_to_float = kernels::Convert::find(context.type(1), DataType::Float);
  if (!dropout.widen || !dropout.narrow || (dropout.has_ratio && !dropout.ratio_to_float))
    context.fail("is not defined for " + std::string(name(dropout.type)));
  for (int i = 1; i < 3; ++i)
    if (context.has_input(i) && context.shape(i).count() != 1)
      context.fail("ratio and training_mode must be scalars, got " + to_string(context.shape(i)));
  return make_kernel([dropout](const KernelArgs& args) { dropout.run(args); });
}

// Training draws its numbers in the order of the elements.
Refusal gpu_dropout(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  for (int i = 1; i < 3; ++i)
    if (context.has_input(i) && (!context.constant(i) || context.constant(i)->count() != 1))
      return "a ratio or a training mode that only the run shows";
  const bool training = context.has_input(2) && *context.constant(2)->data<uint8_t>() != 0;
  if (training && (!context.has_input(1) || scalar_as_double(*context.constant(1)) != 0)) return "random numbers";
  const int64_t count = context.shape(0).count();
  const kernels::StridedCopy copy(context.type(0), Shape{count}, {1}, {1});
  if (Refusal refusal = gpu::add_copy(work, copy, GpuWork::input(0), GpuWork::output(0), traits)) return refusal;
  constexpr std::byte kTrue[] = {std::byte{1}};
  if (!context.has_output(1)) return std::nullopt;
  return gpu::add_fill(work, GpuWork::output(1), count, kTrue, traits);
}

constexpr GpuRecipe kGpuDropout{kAllTypes, gpu_dropout};

constexpr Candidate kWhere[] = {
    {"elementwise", elementwise::refuse_all, prepare_where, kAnyLayout},
    {"strings", elementwise::refuse_other_than_strings, prepare_where_strings},
};
constexpr Candidate kClip[] = {{"elementwise", refuse_clip, prepare_clip, kAnyLayout}};
constexpr Candidate kDropout[] = {{"elementwise", nullptr, prepare_dropout}};

constexpr TypeMask kFloat8Types(DataType::Float8E4M3FN, DataType::Float8E4M3FNUZ, DataType::Float8E5M2,
                                DataType::Float8E5M2FNUZ);

constexpr OpDef kOps[] = {
    {"", "Where", infer_where, kWhere, TypeMask(DataType::Bool), kInPlace, 0, &gpu::kWhere},
    {"", "Clip", infer_clip, kClip, kNumericTypes, kInPlace, 0, &gpu::kClip},
    {"", "Dropout", infer_dropout, kDropout, kFloatTypes | kFloat8Types, kInPlace | kImpure, 0b110, &kGpuDropout},
};

}  // namespace

std::span<const OpDef> where_ops() { return kOps; }

}  // namespace fastort
