#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/random_seed.h"
#include "ops/core/move.h"
#include "tensor/dispatch.h"

namespace fastort {
namespace {

// Random numbers by position: item i of a stream is a hash of the stream's key and i, so that any number of threads
// draws the same numbers.
class Stream {
 public:
  explicit Stream(uint64_t key) : key_(key) {}
  uint64_t bits(int64_t i) const { return mix(key_ + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u); }
  double uniform(int64_t i) const { return static_cast<double>(bits(i) >> 11) * 0x1p-53; }  // [0, 1)
  // With few enough bits that the conversion to float never gives 1.
  double uniform_single(int64_t i) const { return static_cast<double>(bits(i) >> 40) * 0x1p-24; }
  double normal(int64_t i) const {  // Box and Muller
    const double u = static_cast<double>((bits(2 * i) >> 11) + 1) * 0x1p-53, v = uniform(2 * i + 1);
    return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * v);
  }
  // The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
  static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }

 private:
  uint64_t key_;
};

// The streams of one node: a new one for each run. With a seed the first run of every session draws the same numbers.
class Streams {
 public:
  explicit Streams(const Node& node) : base_(base_key(node)) {}
  Stream next() const {
    return Stream(Stream::mix(base_ + Stream::mix(runs_->fetch_add(1, std::memory_order_relaxed))));
  }

 private:
  static uint64_t base_key(const Node& node) {
    if (node.attributes.has("seed"))
      return Stream::mix(std::bit_cast<uint32_t>(node.attributes.get_float("seed", 0)) + 1);
    return Stream::mix(next_random_key());
  }

  uint64_t base_;
  std::shared_ptr<std::atomic<uint64_t>> runs_ = std::make_shared<std::atomic<uint64_t>>(0);
};

// Stores draw(i) for every element of an output of any numeric type.
template <class Draw>
void fill(DataType type, std::byte* dst, int64_t count, const Parallel& parallel, Draw&& draw) {
  with_type(RealList{}, "random numbers", type, [&]<class T>(std::type_identity<T>) {
    parallel.range(count, 1024, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        reinterpret_cast<T*>(dst)[i] = rounded<T>(static_cast<Arithmetic<T>>(draw(i)));
    });
  });
}

void require_float(const InferContext& context, DataType type) {
  if (type != DataType::Undefined && !kFloatTypes.has(type))
    context.fail("dtype " + std::string(name(type)) + " is no floating-point type");
}

void infer_random(InferContext& context) {
  const DataType type = type_attribute(context.node, "dtype", DataType::Float);
  require_float(context, type);
  Shape shape;
  for (int64_t size : context.attributes().get_ints("shape")) {
    if (size < 0) context.fail("the attribute shape has the negative size " + std::to_string(size));
    shape.push_back(size);
  }
  context.out(0, type, shape);
}

void infer_random_like(InferContext& context) {
  const DataType type = type_attribute(context.node, "dtype", context.type(0));
  require_float(context, type);
  context.outputs[0] = context.in(0);
  context.outputs[0].element = type;
}

std::unique_ptr<Kernel> prepare_uniform(const OpContext& context) {
  const double low = context.attributes().get_float("low", 0), high = context.attributes().get_float("high", 1);
  const DataType type = context.out(0).type;
  const bool wide = type == DataType::Double;
  const int64_t count = context.out(0).shape.count();
  return make_kernel([=, streams = Streams(context.node)](const KernelArgs& args) {
    const Stream stream = streams.next();
    fill(type, args.pointers[args.num_inputs], count, args.parallel,
         [&](int64_t i) { return low + (high - low) * (wide ? stream.uniform(i) : stream.uniform_single(i)); });
  });
}

std::unique_ptr<Kernel> prepare_normal(const OpContext& context) {
  const double mean = context.attributes().get_float("mean", 0), scale = context.attributes().get_float("scale", 1);
  const DataType type = context.out(0).type;
  const int64_t count = context.out(0).shape.count();
  return make_kernel([=, streams = Streams(context.node)](const KernelArgs& args) {
    const Stream stream = streams.next();
    fill(type, args.pointers[args.num_inputs], count, args.parallel,
         [&](int64_t i) { return mean + scale * stream.normal(i); });
  });
}

double probability(DataType type, const std::byte* data, int64_t i) {
  return with_type(FloatList{}, "probabilities", type, [&]<class T>(std::type_identity<T>) {
    return static_cast<double>(widened(reinterpret_cast<const T*>(data)[i]));
  });
}

// ---- Bernoulli -----------------------------------------------------------------------------------------------------

void infer_bernoulli(InferContext& context) {
  context.outputs[0] = context.in(0);
  context.outputs[0].element = type_attribute(context.node, "dtype", context.type(0));
}

std::unique_ptr<Kernel> prepare_bernoulli(const OpContext& context) {
  const DataType type = context.type(0), out_type = context.out(0).type;
  const int64_t count = context.out(0).shape.count();
  return make_kernel([=, streams = Streams(context.node)](const KernelArgs& args) {
    const Stream stream = streams.next();
    fill(out_type, args.pointers[args.num_inputs], count, args.parallel,
         [&](int64_t i) { return stream.uniform(i) < probability(type, args.pointers[0], i) ? 1 : 0; });
  });
}

// ---- Multinomial ---------------------------------------------------------------------------------------------------

void infer_multinomial(InferContext& context) {
  const DataType type = type_attribute(context.node, "dtype", DataType::Int32);
  if (type != DataType::Int32 && type != DataType::Int64) context.fail("dtype must be int32 or int64");
  const int64_t samples = context.attributes().get_int("sample_size", 1);
  if (samples < 0) context.fail("sample_size " + std::to_string(samples) + " is negative");
  if (context.has_shape(0) && context.shape(0).rank() != 2) context.fail("the input must be [batch, classes]");
  context.out(0, type, {context.has_shape(0) ? context.shape(0)[0] : context.unknown(), samples});
}

// The input holds logarithms of weights that need not add up to one.
std::unique_ptr<Kernel> prepare_multinomial(const OpContext& context) {
  const DataType type = context.type(0), out_type = context.out(0).type;
  const int64_t batches = context.shape(0)[0], classes = context.shape(0)[1], samples = context.out(0).shape[1];
  if (classes == 0 && batches * samples > 0) context.fail("there are no classes to draw from");
  auto run = [=, streams = Streams(context.node)](const KernelArgs& args) {
    const Stream stream = streams.next();
    double* below = reinterpret_cast<double*>(args.workspace);
    for (int64_t b = 0; b < batches; ++b) {
      double largest = -std::numeric_limits<double>::infinity();
      for (int64_t c = 0; c < classes; ++c)
        largest = std::max(largest, probability(type, args.pointers[0], b * classes + c));
      double sum = 0;
      for (int64_t c = 0; c < classes; ++c) {
        const double weight = std::exp(probability(type, args.pointers[0], b * classes + c) - largest);
        below[c] = sum += weight > 0 ? weight : 0;
      }
      const size_t size = element_size(out_type);
      fill(out_type, args.pointers[args.num_inputs] + static_cast<size_t>(b * samples) * size, samples, args.parallel,
           [&](int64_t i) {
             const double drawn = stream.uniform(b * samples + i) * sum;
             return std::min<int64_t>(std::upper_bound(below, below + classes, drawn) - below, classes - 1);
           });
    }
  };
  return make_kernel(std::move(run), static_cast<size_t>(classes) * sizeof(double));
}

constexpr Candidate kUniform[] = {{"hash", nullptr, prepare_uniform}};
constexpr Candidate kNormal[] = {{"hash", nullptr, prepare_normal}};
constexpr Candidate kBernoulli[] = {{"hash", nullptr, prepare_bernoulli}};
constexpr Candidate kMultinomial[] = {{"hash", nullptr, prepare_multinomial}};

}  // namespace

std::span<const OpDef> random_ops() {
  static const OpDef kOps[] = {
      {"", "RandomUniform", infer_random, kUniform, kAllTypes, kImpure},
      {"", "RandomNormal", infer_random, kNormal, kAllTypes, kImpure},
      {"", "RandomUniformLike", infer_random_like, kUniform, kAllTypes, kImpure},
      {"", "RandomNormalLike", infer_random_like, kNormal, kAllTypes, kImpure},
      {"", "Bernoulli", infer_bernoulli, kBernoulli, kFloatTypes, kImpure},
      {"", "Multinomial", infer_multinomial, kMultinomial, kFloatTypes, kImpure},
  };
  return kOps;
}

}  // namespace fastort
