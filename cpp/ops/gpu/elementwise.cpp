#include "ops/gpu/elementwise.h"

#include <bit>
#include <limits>

#include "kernels/elementwise/chain.h"
#include "ops/gpu/nest.h"

namespace fastort::gpu {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;

constexpr size_t kMaxInputs = 8;
constexpr size_t kMaxSteps = 16;
constexpr uint32_t kGroupElements = 64 * 4;

// A program that one dispatch holds, over operands that are read as `nest` says.
void add_dispatch(GpuWork& work, std::span<const Step> steps, const Nest& nest, std::span<const GpuOperand> inputs,
                  GpuOperand result, int64_t count, const GpuTraits& traits) {
  const bool strided = [&] {
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!nest.is_single(i) && !nest.is_dense(i)) return true;
    return false;
  }();
  std::vector<uint32_t> table;
  for (const Step& step : steps) {
    table.push_back(std::bit_cast<uint32_t>(step.params.a));
    table.push_back(std::bit_cast<uint32_t>(step.params.b));
  }
  uint32_t modes = 0;
  for (size_t i = 0; i < inputs.size(); ++i) modes |= (nest.is_single(i) ? 0u : nest.is_dense(i) ? 1u : 2u) << (2 * i);
  const size_t rank = strided ? nest.rank() : 0;
  for (size_t d = 0; d < rank; ++d) table.push_back(static_cast<uint32_t>(nest.dims()[d]));
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t d = 0; d < rank; ++d) table.push_back(static_cast<uint32_t>(nest.strides(i)[d]));

  const GpuOperand tables = work.table(std::move(table));
  GpuDispatch& dispatch = work.dispatch(steps.size() == 1   ? "elementwise.1"
                                        : steps.size() <= 4 ? "elementwise.4"
                                                            : "elementwise.16");
  dispatch.constants = {modes, static_cast<uint32_t>(inputs.size()), static_cast<uint32_t>(rank),
                        static_cast<uint32_t>(steps.size())};
  for (const Step& step : steps)
    dispatch.constants.push_back(step.function | static_cast<uint32_t>(step.to) << 12 |
                                 static_cast<uint32_t>(step.a) << 16 | static_cast<uint32_t>(step.b) << 20);
  dispatch.operands = {result, tables};
  dispatch.operands.insert(dispatch.operands.end(), inputs.begin(), inputs.end());
  dispatch.push.u32(count);
  dispatch.groups = groups_for(count, kGroupElements, traits);
}

Refusal check_inputs(const OpContext& context) {
  for (int i = 0; i < context.num_inputs(); ++i) {
    if (!context.has_input(i)) continue;
    if (context.type(i) != DataType::Float) return "inputs of other types than float32";
    if (context.shape(i).rank() > context.out(0).shape.rank()) return "an operand has a higher rank than the output";
  }
  if (context.out(0).type != DataType::Float) return "an output of another type than float32";
  return std::nullopt;
}

}  // namespace

bool has_function(BinaryOp op) { return op <= BinaryOp::Pow; }

Refusal elementwise(const OpContext& context, const GpuTraits& traits, GpuWork& work, std::span<const Step> steps,
                    std::span<const Shape> shapes) {
  if (Refusal refusal = check_inputs(context)) return refusal;
  const auto count = static_cast<size_t>(context.num_inputs());
  const int64_t elements = context.out(0).shape.count();
  if (count > kMaxInputs) return "more than eight inputs";
  Nest nest(context.out(0).shape);
  std::vector<GpuOperand> inputs;
  for (size_t i = 0; i < count; ++i) {
    // In the place of an input that is left out, and that no step reads, stands an element of the first.
    const auto at = static_cast<int>(i);
    const bool given = context.has_input(at);
    nest.add_broadcast(!given ? Shape{} : shapes.empty() ? context.shape(at) : shapes[i]);
    inputs.push_back(GpuWork::input(given ? at : 0));
  }
  if (steps.size() <= kMaxSteps) {
    nest.merge();
    add_dispatch(work, steps, nest, inputs, GpuWork::output(0), elements, traits);
    return std::nullopt;
  }
  // Longer programs go on where they stopped, with the result so far as one more input.
  if (count == kMaxInputs) return "a chain of more than sixteen functions with eight inputs";
  for (const Step& step : steps)
    if (step.to != 0 || (step.a > 0 && step.a < Step::kFirstInput)) return "a long chain with several registers";
  nest.add_broadcast(context.out(0).shape);
  nest.merge();
  const auto bytes = static_cast<size_t>(elements) * sizeof(float);
  const GpuOperand spare[] = {work.scratch(bytes), work.scratch(bytes)};
  inputs.push_back(inputs.front());
  for (size_t begin = 0, piece = 0; begin < steps.size(); begin += kMaxSteps, ++piece) {
    std::vector<Step> part(steps.begin() + static_cast<std::ptrdiff_t>(begin),
                           steps.begin() + static_cast<std::ptrdiff_t>(std::min(steps.size(), begin + kMaxSteps)));
    if (begin > 0) {
      Step& first = part.front();
      if (first.a == 0) first.a = input(static_cast<int>(count));
      if (first.function >= 256 && first.b == 0) first.b = input(static_cast<int>(count));
      inputs.back() = spare[(piece + 1) % 2];
    }
    const bool last = begin + kMaxSteps >= steps.size();
    Nest own = nest;
    if (begin == 0) {
      // The first part has no result so far; its place is filled by an operand that nobody reads.
      inputs.pop_back();
    }
    add_dispatch(work, part, own, inputs, last ? GpuWork::output(0) : GpuWork::written(spare[piece % 2]), elements,
                 traits);
    if (begin == 0) inputs.push_back({});
  }
  return std::nullopt;
}

namespace {

Refusal chain_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const std::vector<int64_t> program = context.attributes().get_ints("program");
  const std::vector<float> params = context.attributes().get_floats("params");
  // Checks the program's form.
  static_cast<void>(kernels::Chain::parse(program, params, context.num_inputs()));
  std::vector<Step> steps;
  auto operand = [](int64_t code) {
    return static_cast<int>(code >= kernels::chain_input(0) ? code - kernels::chain_input(0) + Step::kFirstInput
                                                            : code);
  };
  for (size_t i = 0; i * 4 < program.size(); ++i) {
    const int64_t* code = program.data() + i * 4;
    const bool binary = code[0] >= kernels::chain_binary(BinaryOp::Add);
    if (binary && !has_function(static_cast<BinaryOp>(code[0] - 256))) return "a function that has no shader";
    steps.push_back({static_cast<uint32_t>(code[0]),
                     static_cast<int>(code[1]),
                     operand(code[2]),
                     binary ? operand(code[3]) : 0,
                     {params[i * 2], params[i * 2 + 1]}});
  }
  return elementwise(context, traits, work, steps);
}

// Bounds that are inputs are operands of Max and Min; one that is left out does not bound.
Refusal clip_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  if (context.type(0) != DataType::Float) return add_integer_clip(context, traits, work);
  std::vector<Step> steps;
  if (context.has_input(1)) steps.push_back(Step::binary(BinaryOp::Max, input(0), input(1)));
  if (context.has_input(2)) steps.push_back(Step::binary(BinaryOp::Min, steps.empty() ? input(0) : 0, input(2)));
  if (steps.empty()) steps.push_back(Step::unary(UnaryOp::Affine, input(0), {1, 0}));
  return elementwise(context, traits, work, steps);
}

Refusal gelu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const std::string form = context.attributes().get_string("approximate", "none");
  if (form != "none" && form != "tanh") return "approximate is '" + form + "'";
  return form == "tanh" ? unary_work<UnaryOp::GeluTanh>(context, traits, work)
                        : unary_work<UnaryOp::Gelu>(context, traits, work);
}

Refusal mean_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  std::vector<Step> steps;
  for (int i = 1; i < context.num_inputs(); ++i)
    steps.push_back(Step::binary(BinaryOp::Add, i == 1 ? input(0) : 0, input(i)));
  const float scale = 1.0f / static_cast<float>(context.num_inputs());
  steps.push_back(Step::unary(UnaryOp::Affine, steps.empty() ? input(0) : 0, {scale, 0}));
  return elementwise(context, traits, work, steps);
}

}  // namespace

constinit const GpuRecipe kChain{kFloat32, chain_work};
constinit const GpuRecipe kClip{kFloat32 | kArith, clip_work};
constinit const GpuRecipe kGelu{kFloat32, gelu_work};
constinit const GpuRecipe kMean{kFloat32, mean_work};

}  // namespace fastort::gpu
