#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "kernels/elementwise/chain.h"
#include "kernels/reorder.h"
#include "ops/op.h"

// Elementwise operators, reductions over space and BatchNormalization give in blocked layouts what they give in the
// plain one, and leave the padding zero.
namespace fastort {
namespace {

using kernels::BinaryOp;
using kernels::UnaryOp;

class NoPacks final : public PackStore {
 public:
  std::shared_ptr<Buffer> get(const Tensor&, std::string_view, size_t bytes, FnRef<void(std::byte*)>) override {
    return Buffer::allocate(bytes);
  }
};

struct Operator {
  std::string domain, type;
  std::vector<Shape> inputs;
  Attributes attributes;
  Shape out;
  DataType out_type = DataType::Float;
};

const Parallel& parallel() {
  static const Parallel instance(ThreadPool::instance(), ThreadPool::instance().size());
  return instance;
}

Tensor random_tensor(const Shape& shape, std::mt19937& random) {
  Tensor tensor(DataType::Float, shape);
  std::uniform_real_distribution<float> numbers(0.25f, 2.0f);
  for (int64_t i = 0; i < tensor.count(); ++i) tensor.data<float>()[i] = numbers(random);
  return tensor;
}

Tensor in_layout(const Tensor& tensor, Layout layout) {
  Tensor moved(tensor.type(), Shape{physical_count(tensor.shape(), layout)});
  if (layout == Layout::Plain || tensor.shape().rank() < 3)
    std::memcpy(moved.raw(), tensor.raw(), tensor.bytes());
  else
    kernels::reorder(tensor.raw(), Layout::Plain, moved.raw(), layout, tensor.shape(), element_size(tensor.type()),
                     parallel());
  return moved;
}

// The output in memory order of `layout`, or nothing where no candidate takes that layout.
std::optional<Tensor> run(const Operator& op, const std::vector<Tensor>& inputs, Layout layout) {
  const OpDef* def = find_op(op.domain, op.type);
  REQUIRE(def != nullptr);
  Node node;
  node.domain = op.domain;
  node.op_type = op.type;
  node.attributes = op.attributes;
  for (size_t i = 0; i < inputs.size(); ++i) node.inputs.push_back(static_cast<ValueId>(i));
  node.outputs.push_back(static_cast<ValueId>(inputs.size()));
  for (const Candidate& candidate : def->cpu) {
    for (const Variant& variant : candidate.variants) {
      if (variant.in != layout) continue;
      std::vector<TensorDesc> in;
      for (size_t i = 0; i < inputs.size(); ++i) {
        TensorDesc desc{inputs[i].type(), inputs[i].shape(), Layout::Plain, nullptr};
        if ((candidate.layout_inputs >> i & 1) && desc.shape.rank() == op.inputs[0].rank() && desc.shape.rank() >= 3)
          desc.layout = variant.in;
        if (inputs[i].type() == DataType::Int64) desc.constant = &inputs[i];
        in.push_back(desc);
      }
      const TensorDesc out[] = {{op.out_type, op.out, op.out.rank() >= 3 ? variant.out : Layout::Plain, nullptr}};
      const EngineOptions options;
      NoPacks packs;
      const OpContext context{node, in, out, options, packs, {}};
      if (candidate.accepts && candidate.accepts(context)) continue;
      const std::unique_ptr<Kernel> kernel = candidate.prepare(context);
      std::vector<Tensor> moved;
      std::vector<std::byte*> pointers;
      for (size_t i = 0; i < inputs.size(); ++i) {
        moved.push_back(in_layout(inputs[i], in[i].layout));
        pointers.push_back(moved.back().raw());
      }
      Tensor result(op.out_type, Shape{physical_count(op.out, out[0].layout)});
      std::memset(result.raw(), 0x7f, result.bytes());
      pointers.push_back(result.raw());
      const auto workspace = Buffer::allocate(kernel->workspace_bytes() + 64);
      kernel->run({.pointers = pointers.data(),
                   .num_inputs = static_cast<int>(inputs.size()),
                   .workspace = workspace->data(),
                   .state = nullptr,
                   .parallel = parallel(),
                   .frame = nullptr});
      return result;
    }
  }
  return std::nullopt;
}

// How many of the blocked layouts served.
int compare_layouts(const Operator& op) {
  std::mt19937 random(7);
  std::vector<Tensor> inputs;
  for (const Shape& shape : op.inputs) inputs.push_back(random_tensor(shape, random));
  if (op.type.starts_with("Reduce")) {
    std::vector<int64_t> axes;
    for (int64_t axis = 2; axis < op.inputs[0].rank(); ++axis) axes.push_back(axis);
    inputs.push_back(Tensor::vector(std::span<const int64_t>(axes)));
  }
  const std::optional<Tensor> flat = run(op, inputs, Layout::Plain);
  REQUIRE(flat.has_value());
  Tensor plain(op.out_type, op.out);
  std::memcpy(plain.raw(), flat->raw(), plain.bytes());
  int served = 0;
  for (Layout layout : {Layout::C8, Layout::C16, Layout::Nhwc}) {
    const std::optional<Tensor> actual = run(op, inputs, layout);
    if (!actual) continue;
    ++served;
    const Tensor expected = in_layout(plain, op.out.rank() >= 3 ? layout : Layout::Plain);
    REQUIRE(actual->bytes() == expected.bytes());
    int64_t wrong = 0;
    for (int64_t i = 0; i < expected.count(); ++i) {
      if (op.out_type == DataType::Bool)
        wrong += actual->data<bool>()[i] != expected.data<bool>()[i];
      else
        wrong += !(std::abs(actual->data<float>()[i] - expected.data<float>()[i]) <=
                   1e-5f + 1e-6f * expected.data<float>()[i]);
    }
    CAPTURE(op.type);
    CAPTURE(to_string(op.inputs[0]));
    CAPTURE(to_string(op.inputs.back()));
    CAPTURE(name(layout));
    CHECK(wrong == 0);
  }
  return served;
}

const std::vector<int64_t> kChannels{1, 3, 8, 9, 16, 19, 32};

Shape image(int64_t channels) { return {2, channels, 5, 7}; }

}  // namespace

TEST_CASE("functions of one element in blocked layouts") {
  for (const char* type : {"Relu", "Sigmoid", "Exp", "Log", "Cos", "Sqrt", "Reciprocal", "HardSigmoid", "Softplus"})
    for (int64_t c : kChannels) CHECK(compare_layouts({"", type, {image(c)}, {}, image(c)}) == 3);
  Attributes to_double;
  to_double.set("to", static_cast<int64_t>(DataType::Bool));
  CHECK(compare_layouts({"", "Cast", {image(19)}, to_double, image(19), DataType::Bool}) == 3);
}

TEST_CASE("functions of two elements in blocked layouts") {
  for (const char* type : {"Add", "Mul", "Div", "Sub", "Max", "Pow"}) {
    for (int64_t c : kChannels) {
      CHECK(compare_layouts({"", type, {image(c), image(c)}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {1, c, 1, 1}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {2, c, 1, 1}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {1, 1, 1, 1}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {5, 7}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {image(c), {2, 1, 5, 7}}, {}, image(c)}) == 3);
      CHECK(compare_layouts({"", type, {{1, c, 1, 1}, image(c)}, {}, image(c)}) == 3);
      compare_layouts({"", type, {image(c), {c, 1, 1}}, {}, image(c)});
      compare_layouts({"", type, {image(c), {c, 5, 7}}, {}, image(c)});
    }
  }
  CHECK(compare_layouts({"", "Add", {image(16), {16, 1, 1}}, {}, image(16)}) == 3);
  CHECK(compare_layouts({"", "LessOrEqual", {image(19), image(19)}, {}, image(19), DataType::Bool}) == 3);
  CHECK(compare_layouts({"", "Sum", {image(19), image(19), {1, 19, 1, 1}}, {}, image(19)}) == 3);
  CHECK(compare_layouts({"", "Mean", {image(9), {}, {1, 9, 1, 1}, image(9)}, {}, image(9)}) == 3);
}

TEST_CASE("reductions over space in blocked layouts") {
  for (const char* type : {"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"})
    for (int64_t c : kChannels) {
      CHECK(compare_layouts({"", type, {image(c)}, {}, {2, c, 1, 1}}) == 3);
      CHECK(compare_layouts({"", type, {{2, c, 600}}, {}, {2, c, 1}}) == 3);
      Attributes attributes;
      attributes.set("keepdims", int64_t{0});
      CHECK(compare_layouts({"", type, {image(c)}, attributes, {2, c}}) >= 1);
    }
}

TEST_CASE("BatchNormalization in blocked layouts") {
  for (int64_t c : kChannels)
    CHECK(compare_layouts({"", "BatchNormalization", {image(c), {c}, {c}, {c}, {c}}, {}, image(c)}) == 3);
}

TEST_CASE("a chain computes what its operators compute") {
  // y = gelu(a * b + c) - a * s
  const std::vector<int64_t> program{
      kernels::chain_binary(BinaryOp::Mul),
      0,
      kernels::chain_input(0),
      kernels::chain_input(1),  //
      kernels::chain_binary(BinaryOp::Add),
      0,
      0,
      kernels::chain_input(2),  //
      kernels::chain_unary(UnaryOp::Gelu),
      1,
      0,
      -1,  //
      kernels::chain_binary(BinaryOp::Mul),
      2,
      kernels::chain_input(0),
      kernels::chain_input(3),  //
      kernels::chain_binary(BinaryOp::Sub),
      0,
      1,
      2,
  };
  Attributes attributes;
  attributes.set("program", program);
  attributes.set("params", std::vector<float>(10, 0.0f));
  std::mt19937 random(3);
  for (int64_t c : kChannels) {
    const Operator op{"fastort", "ElementwiseChain", {image(c), image(c), {1, c, 1, 1}, {}}, attributes, image(c)};
    CHECK(compare_layouts(op) == 3);
    std::vector<Tensor> inputs;
    for (const Shape& shape : op.inputs) inputs.push_back(random_tensor(shape, random));
    const std::optional<Tensor> actual = run(op, inputs, Layout::Plain);
    REQUIRE(actual.has_value());
    int64_t wrong = 0;
    for (int64_t i = 0; i < actual->count(); ++i) {
      const float a = inputs[0].data<float>()[i], b = inputs[1].data<float>()[i];
      const float x = a * b + inputs[2].data<float>()[i / 35 % c];
      const float y = x * 0.5f * std::erfc(-x * 0.70710678f) - a * inputs[3].data<float>()[0];
      wrong += !(std::abs(actual->data<float>()[i] - y) <= 1e-5f);
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("a chain of one element reads any register") {
  using kernels::chain_input;
  const int64_t add = kernels::chain_binary(BinaryOp::Add), mul = kernels::chain_binary(BinaryOp::Mul);
  // r3 = a + b; r5 = r3 * a; out = r5 + r3
  const std::vector<int64_t> program{add, 3, chain_input(0), chain_input(1), mul, 5, 3, chain_input(0), add, 0, 5, 3};
  const kernels::Chain chain = kernels::Chain::parse(program, std::vector<float>(6, 0.0f), 2);
  const float a = 3, b = 0.5f;
  const std::byte* const src[] = {reinterpret_cast<const std::byte*>(&a), reinterpret_cast<const std::byte*>(&b)};
  float result = 0;
  chain.run_one(src, &result);
  CHECK(result == (a + b) * a + (a + b));
}

TEST_CASE("a wrong chain is refused") {
  const std::vector<float> params{0, 0};
  auto parse = [&](std::vector<int64_t> program) { return kernels::Chain::parse(program, params, 1); };
  CHECK_NOTHROW(parse({0, 0, kernels::chain_input(0), -1}));
  CHECK_THROWS_AS(parse({}), Error);
  CHECK_THROWS_AS(parse({0, 0, 0, -1}), Error);  // reads a register before it is written
  CHECK_THROWS_AS(parse({0, 8, kernels::chain_input(0), -1}), Error);
  CHECK_THROWS_AS(parse({0, 0, kernels::chain_input(1), -1}), Error);
  CHECK_THROWS_AS(parse({200, 0, kernels::chain_input(0), -1}), Error);
  CHECK_THROWS_AS(parse({kernels::chain_binary(BinaryOp::Less), 0, kernels::chain_input(0), kernels::chain_input(0)}),
                  Error);
}

}  // namespace fastort
