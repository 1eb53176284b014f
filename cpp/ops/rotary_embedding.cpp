#include <string>

#include "ops/gpu.h"
#include "tensor/dispatch.h"

namespace fastort {

namespace {

// Positions of the inputs; com.microsoft has another order than ai.onnx.
struct Inputs {
  int cos, sin, positions;
};
constexpr Inputs kOnnx{1, 2, 3}, kMicrosoft{2, 3, 1};

template <class Context>
const Inputs& inputs_of(const Context& context) {
  return context.node.domain.empty() ? kOnnx : kMicrosoft;
}

void infer_rotary(InferContext& context) {
  const Inputs& inputs = inputs_of(context);
  if (!context.has_input(0) || !context.has_input(inputs.cos) || !context.has_input(inputs.sin))
    context.fail("X, cos_cache and sin_cache are required");
  if (context.type(inputs.cos) != context.type(0) || context.type(inputs.sin) != context.type(0))
    context.fail("X, cos_cache and sin_cache must have one element type; insert a Cast");
  if (context.has_input(inputs.positions) && context.type(inputs.positions) != DataType::Int64)
    context.fail("position_ids must be of type int64");
  if (&inputs == &kMicrosoft && !context.has_input(inputs.positions)) context.fail("position_ids is required");
  if (context.attributes().get_float("scale", 1) != 1)
    not_implemented("RotaryEmbedding with a scale other than 1, whose meaning is not documented: scale the caches");
  infer_same(context);
}

struct Problem {
  int64_t batch, tokens, heads, size, rotated;
  int64_t batch_stride, token_stride, head_stride;
  bool interleaved;
  Inputs inputs;
  bool gather;          // the rows of the caches are named by position_ids
  bool first_position;  // position_ids holds the position of each sequence's first token
  bool one_batch;       // the caches' rows, or the positions, are the same for every sequence
  int64_t cache_rows;
  DataType type;
};

Problem read_problem(const OpContext& context) {
  const Attributes& attributes = context.attributes();
  Problem p{};
  p.inputs = inputs_of(context);
  p.type = context.type(0);
  const Shape &x = context.shape(0), &cos = context.shape(p.inputs.cos), &sin = context.shape(p.inputs.sin);
  if (cos.rank() < 2 || cos.rank() > 3 || cos != sin) context.fail("cos_cache and sin_cache must have one shape");
  const int64_t half = cos.back();
  p.rotated = attributes.get_int("rotary_embedding_dim", 0);
  p.heads = attributes.get_int("num_heads", 0);
  if (x.rank() == 4) {
    p.batch = x[0];
    p.heads = x[1];
    p.tokens = x[2];
    p.size = x[3];
    p.token_stride = p.size;
    p.head_stride = p.tokens * p.size;
  } else if (x.rank() == 3) {
    p.batch = x[0];
    p.tokens = x[1];
    if (p.heads <= 0 && !context.node.domain.empty() && half > 0) p.heads = x[2] / (2 * half);
    if (p.heads <= 0 || x[2] % p.heads != 0)
      context.fail("num_heads must be given and divide the last dimension of X, " + std::to_string(x[2]));
    p.size = x[2] / p.heads;
    p.token_stride = x[2];
    p.head_stride = p.size;
  } else {
    context.fail("X must have three or four dimensions");
  }
  p.batch_stride = p.heads * p.tokens * p.size;
  if (p.rotated == 0) p.rotated = p.size;
  if (p.rotated < 0 || p.rotated > p.size || p.rotated % 2 != 0 || p.rotated / 2 != half)
    context.fail("the caches have " + std::to_string(half) + " columns; expected half of the " +
                 std::to_string(p.rotated) + " items that are rotated, of a head of " + std::to_string(p.size));
  p.interleaved = attributes.get_int("interleaved", 0) != 0;
  p.gather = context.has_input(p.inputs.positions);
  if (p.gather) {
    const Shape& positions = context.shape(p.inputs.positions);
    p.first_position = !context.node.domain.empty() && positions.count() == 1 && p.batch * p.tokens != 1;
    p.one_batch = !p.first_position && positions == Shape{1, p.tokens};
    if (cos.rank() != 2 || (!p.first_position && !p.one_batch && positions != Shape{p.batch, p.tokens}))
      context.fail("with position_ids [batch, tokens] the caches must have two dimensions");
    p.cache_rows = cos[0];
  } else {
    if (cos.rank() != 3 || (cos[0] != p.batch && cos[0] != 1) || cos[1] != p.tokens)
      context.fail("without position_ids the caches must be [batch or 1, tokens, half of the rotated items]");
    // PyTorch exports one row of positions for the whole batch.
    p.one_batch = cos[0] == 1;
  }
  return p;
}

float load(float value) { return value; }
double load(double value) { return value; }
float load(Float16 value) { return to_float(value); }
float load(BFloat16 value) { return to_float(value); }
void store(float value, float& dst) { dst = value; }
void store(double value, double& dst) { dst = value; }
void store(float value, Float16& dst) { dst = to_float16(value); }
void store(float value, BFloat16& dst) { dst = to_bfloat16(value); }

template <class T>
void rotate(const Problem& p, const T* x, const T* cos, const T* sin, T* y) {
  const int64_t half = p.rotated / 2;
  const int64_t step = p.interleaved ? 2 : 1, other = p.interleaved ? 1 : half;
  for (int64_t i = 0; i < half; ++i) {
    const auto a = load(x[i * step]), b = load(x[i * step + other]), c = load(cos[i]), s = load(sin[i]);
    store(c * a - s * b, y[i * step]);
    store(s * a + c * b, y[i * step + other]);
  }
  for (int64_t i = p.rotated; i < p.size; ++i) y[i] = x[i];
}

template <class T>
std::unique_ptr<Kernel> make_rotary(const OpContext& context) {
  return make_kernel([p = read_problem(context)](const KernelArgs& args) {
    const T *cos = args.in<T>(p.inputs.cos), *sin = args.in<T>(p.inputs.sin);
    const int64_t half = p.rotated / 2;
    args.parallel.range(p.batch * p.tokens, 1 + 8192 / std::max<int64_t>(1, p.heads * p.size),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i) {
                            const int64_t b = i / p.tokens, t = i % p.tokens;
                            int64_t row = p.one_batch ? t : i;
                            if (p.gather) {
                              const int64_t* const positions = args.in<int64_t>(p.inputs.positions);
                              row = p.first_position ? positions[0] : positions[row];
                              if (row < 0 || row >= p.cache_rows - (p.first_position ? t : 0))
                                invalid_argument("RotaryEmbedding: the position " + std::to_string(row) +
                                                 " is outside the caches of " + std::to_string(p.cache_rows) + " rows");
                              if (p.first_position) row += t;
                            }
                            for (int64_t h = 0; h < p.heads; ++h) {
                              const int64_t at = b * p.batch_stride + t * p.token_stride + h * p.head_stride;
                              rotate(p, args.in<T>(0) + at, cos + row * half, sin + row * half, args.out<T>(0) + at);
                            }
                          }
                        });
  });
}

std::unique_ptr<Kernel> prepare_rotary(const OpContext& context) {
  return with_type(FloatList{}, "RotaryEmbedding", context.type(0),
                   [&]<class T>(std::type_identity<T>) { return make_rotary<T>(context); });
}

Refusal gpu_work(const OpContext& context, const GpuTraits& traits, GpuWork& work) {
  const Problem p = read_problem(context);
  const int64_t count = context.shape(0).count();
  GpuDispatch& dispatch = work.dispatch("rotary");
  dispatch.constants = {p.interleaved ? 1u : 0u, !p.gather ? 0u : p.first_position ? 2u : 1u, p.one_batch ? 1u : 0u};
  dispatch.operands = {GpuWork::output(0), GpuWork::input(0), GpuWork::input(p.inputs.cos),
                       GpuWork::input(p.inputs.sin), p.gather ? GpuWork::input(p.inputs.positions) : GpuWork::none()};
  dispatch.push.u32(count).u32(p.tokens).u32(p.heads).u32(p.size).u32(p.rotated);
  dispatch.push.u32(p.batch_stride).u32(p.token_stride).u32(p.head_stride).u32(p.cache_rows);
  dispatch.groups = groups_for(count, 64, traits);
  return std::nullopt;
}
constexpr GpuRecipe kGpu{kFloat32, gpu_work};

constexpr Candidate kCandidates[] = {{.name = "rotary", .prepare = prepare_rotary}};

constexpr OpDef kOps[] = {
    {.domain = "",
     .name = "RotaryEmbedding",
     .infer = infer_rotary,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
    {.domain = "com.microsoft",
     .name = "RotaryEmbedding",
     .infer = infer_rotary,
     .cpu = kCandidates,
     .types = kFloatTypes,
     .gpu = &kGpu},
};

}  // namespace

std::span<const OpDef> rotary_embedding_ops() { return kOps; }

}  // namespace fastort
