#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ops/core/evaluate.h"
#include "ops/core/infer.h"
#include "ops/core/merge_types.h"

namespace fastort {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string error_of(ErrorCode code, const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

std::unique_ptr<Kernel> prepare_double(const OpContext& context) {
  const int64_t count = context.shape(0).count();
  return make_kernel([count](const KernelArgs& args) {
    for (int64_t i = 0; i < count; ++i) args.out<float>(0)[i] = 2 * args.in<float>(0)[i];
  });
}

std::unique_ptr<Kernel> prepare_positive(const OpContext&) {
  return make_kernel([](const KernelArgs& args) {
    const Value value = args.frame->input(0);
    const auto items = value.tensor().span<float>();
    const auto positive = [](float item) { return item > 0; };
    const Tensor result = args.frame->allocate_output(
        0, DataType::Float, Shape{static_cast<Dim>(std::count_if(items.begin(), items.end(), positive))});
    std::copy_if(items.begin(), items.end(), result.data<float>(), positive);
  });
}

Refusal never(const OpContext&) { return "it is for other machines"; }

constexpr Candidate kDoubleCpu[] = {{"fast", never, prepare_double}, {"plain", nullptr, prepare_double}};
constexpr Candidate kRefused[] = {{"fast", never, prepare_double}};
constexpr Candidate kPositiveCpu[] = {{"plain", nullptr, prepare_positive}};
constexpr Candidate kNothing[] = {{"none", never, nullptr}};

void infer_positive(InferContext& context) { context.out(0, context.type(0), {context.unknown()}); }
void infer_flat(InferContext& context) {
  Dim count = 1;
  for (Dim dim : context.shape(0)) count = context.symbols.mul(count, dim);
  context.out(0, context.type(0), {count});
}

const OpDef kDouble{"", "Double", infer_same, kDoubleCpu, TypeMask(DataType::Float)};
const OpDef kPositive{"", "Positive", infer_positive, kPositiveCpu, kFloatTypes, kDynamic};
const OpDef kFlat{"", "Flat", infer_flat, kNothing, kAllTypes, kView};
const OpDef kAdd{"", "Add", infer_broadcast, kNothing};
const OpDef kLess{"", "Less", infer_compare, kNothing};

Node node_of(const OpDef& op, int inputs) {
  Node node;
  node.op_type = op.name;
  node.name = "it";
  for (int i = 0; i < inputs; ++i) node.inputs.push_back(i);
  node.outputs = {inputs};
  return node;
}

ValueType floats(Shape shape) { return ValueType::tensor(DataType::Float, std::move(shape)); }

ValueType infer(const OpDef& op, std::vector<ValueType> inputs, SymbolTable& symbols) {
  const std::vector<KnownValue> known(inputs.size());
  return infer_node(op, node_of(op, static_cast<int>(inputs.size())), inputs, known, symbols).types[0];
}

TEST_CASE("broadcasting with symbols") {
  SymbolTable symbols;
  const Dim batch = symbols.named("batch");
  CHECK(infer(kAdd, {floats({batch, 3, 1}), floats({4})}, symbols).shape == Shape{batch, 3, 4});
  CHECK(infer(kAdd, {floats({batch, 1}), floats({batch, 5})}, symbols).shape == Shape{batch, 5});
  CHECK(infer(kAdd, {floats({}), floats({})}, symbols).shape == Shape{});
  CHECK_FALSE(infer(kAdd, {floats({2}), ValueType::tensor(DataType::Float)}, symbols).has_shape);
  CHECK(infer(kLess, {floats({2}), floats({2})}, symbols).element == DataType::Bool);
  const auto bad = [&] { infer(kAdd, {floats({batch, 3}), floats({4})}, symbols); };
  const std::string error = error_of(ErrorCode::InvalidGraph, bad);
  CHECK(contains(error, "Add node 'it'"));
  CHECK(contains(error, "[batch,3] and [4]"));
  CHECK(contains(error, "float[batch,3], float[4]"));
  const auto mixed = [&] { infer(kAdd, {floats({2}), ValueType::tensor(DataType::Int64, {2})}, symbols); };
  CHECK(contains(error_of(ErrorCode::InvalidGraph, mixed), "same element type"));
}

TEST_CASE("an element type that is not in the table is refused by name") {
  SymbolTable symbols;
  const auto bad = [&] { infer(kDouble, {ValueType::tensor(DataType::Int32, {2})}, symbols); };
  const std::string error = error_of(ErrorCode::NotImplemented, bad);
  CHECK(contains(error, "Double node 'it'"));
  CHECK(contains(error, "int32"));
  CHECK(contains(error, "supported: float)"));
}

TEST_CASE("known values reach inference as numbers and as sizes") {
  SymbolTable symbols;
  const Dim batch = symbols.named("batch");
  const Tensor big = Tensor::vector<int64_t>(std::vector<int64_t>{1, INT64_MIN});
  const Tensor small = Tensor::vector<int32_t>(std::vector<int32_t>{1, -1});
  const Node node = node_of(kAdd, 4);
  const std::vector<ValueType> inputs(4);
  const std::vector<const Tensor*> values{&big, &small, nullptr, nullptr};
  const std::vector<std::optional<Shape>> dims{{}, {}, Shape{batch, -1}, Shape{3, -1}};
  std::vector<ValueType> outputs(1);
  std::vector<std::optional<Shape>> output_dims(1);
  const InferContext context{node, inputs, values, dims, symbols, outputs, output_dims, {}};
  CHECK((*context.ints(0))[1] == INT64_MIN);
  CHECK_FALSE(context.dims(0));
  CHECK(*context.dims(1) == Shape{1, -1});
  CHECK_FALSE(context.ints(2));
  CHECK(*context.dims(2) == Shape{batch, -1});
  CHECK((*context.ints(3))[0] == 3);
  CHECK_FALSE(context.ints(9));
  CHECK(normalize_axis(context, -1, 3) == 2);
  CHECK(
      contains(error_of(ErrorCode::InvalidGraph, [&] { normalize_axis(context, 3, 3); }), "axis 3 is outside [-3, 2]"));
}

TEST_CASE("declared and inferred types are merged") {
  SymbolTable symbols;
  const Dim named = symbols.named("n"), expression = symbols.add(named, 1), unknown = symbols.fresh();
  const auto merged = [&](ValueType a, ValueType b, bool keep) { return merge_types(a, b, symbols, keep); };
  CHECK(merged({}, floats({2}), false)->shape == Shape{2});
  CHECK(merged(floats({2}), {}, false)->shape == Shape{2});
  CHECK(merged(floats({named}), floats({2}), false)->shape == Shape{2});
  CHECK(merged(floats({2}), floats({named}), false)->shape == Shape{2});
  CHECK(merged(floats({named}), floats({expression}), false)->shape == Shape{expression});
  CHECK(merged(floats({named}), floats({expression}), true)->shape == Shape{named});
  CHECK(merged(floats({named}), floats({unknown}), false)->shape == Shape{named});
  CHECK(merged(floats({2}), ValueType::tensor(DataType::Float), false)->has_shape);
  CHECK_FALSE(merged(floats({2}), floats({3}), false));
  CHECK_FALSE(merged(floats({2}), floats({2, 1}), false));
  CHECK_FALSE(merged(floats({2}), ValueType::tensor(DataType::Int64), false));
  CHECK_FALSE(merged(floats({2}), ValueType::sequence(floats({2})), false));
}

TEST_CASE("one node is evaluated") {
  const Tensor input = Tensor::vector<float>(std::vector<float>{1, -2, 3});
  const std::vector<Value> inputs{input};
  const auto doubled = evaluate_node(kDouble, node_of(kDouble, 1), inputs);
  CHECK(doubled[0].tensor().data<float>()[2] == 6);
  const auto positive = evaluate_node(kPositive, node_of(kPositive, 1), inputs);
  CHECK(positive[0].tensor().shape() == Shape{2});
  CHECK(positive[0].tensor().data<float>()[1] == 3);
  const auto too_large = [&] { evaluate_node(kPositive, node_of(kPositive, 1), inputs, 4); };
  CHECK(contains(error_of(ErrorCode::Fail, too_large), "too large"));
  const OpDef refused{"", "Refused", infer_same, kRefused};
  const auto nobody = [&] { evaluate_node(refused, node_of(refused, 1), inputs); };
  CHECK(contains(error_of(ErrorCode::NotImplemented, nobody), "fast: it is for other machines"));
  CHECK(evaluate_node(kDouble, node_of(kDouble, 1), std::vector<Value>{Tensor(DataType::Float, Shape{0, 3})})[0]
            .tensor()
            .shape() == Shape{0, 3});
}

TEST_CASE("a view shares memory that lasts, and copies what is only lent") {
  const Tensor input(DataType::Float, Shape{2, 3});
  const auto shared = evaluate_node(kFlat, node_of(kFlat, 1), std::vector<Value>{input});
  CHECK(shared[0].tensor().shape() == Shape{6});
  CHECK(shared[0].tensor().raw() == input.raw());
  alignas(16) float memory[6] = {1, 2, 3, 4, 5, 6};
  const Tensor lent(DataType::Float, Shape{2, 3}, Buffer::wrap(memory, sizeof(memory)));
  const auto copied = evaluate_node(kFlat, node_of(kFlat, 1), std::vector<Value>{lent});
  CHECK(copied[0].tensor().raw() != lent.raw());
  CHECK(copied[0].tensor().data<float>()[5] == 6);
}

TEST_CASE("memory reads the same in several layouts") {
  CHECK(same_memory({1, 16, 1, 1}, Layout::Plain, Layout::C8));
  CHECK(same_memory({1, 16, 1, 1}, Layout::C16, Layout::C8));
  CHECK(same_memory({2, 8, 5, 5}, Layout::Nhwc, Layout::C8));
  CHECK(same_memory({2, 1, 5, 5}, Layout::Nhwc, Layout::Plain));
  CHECK(same_memory({2, 3, 1, 1}, Layout::Nhwc, Layout::Plain));
  CHECK(same_memory({2, 3}, Layout::C8, Layout::Plain));
  CHECK_FALSE(same_memory({1, 12, 1, 1}, Layout::Plain, Layout::C8));
  CHECK_FALSE(same_memory({1, 16, 2, 1}, Layout::Plain, Layout::C8));
  CHECK_FALSE(same_memory({1, 16, 2, 1}, Layout::C16, Layout::C8));
  CHECK_FALSE(same_memory({2, 3, 5, 5}, Layout::Nhwc, Layout::Plain));
}

TEST_CASE("a graph with an unknown operator is refused by name") {
  Graph graph;
  const ValueId x = graph.add_value("x", floats({2}));
  graph.inputs = {x};
  Node node = node_of(kDouble, 0);
  node.op_type = "NoSuchOperator";
  node.inputs = {x};
  node.outputs = {graph.add_value("y")};
  graph.nodes.push_back(node);
  graph.outputs = node.outputs;
  const std::string error = error_of(ErrorCode::NotImplemented, [&] { infer_graph(graph); });
  CHECK(contains(error, "'NoSuchOperator'"));
  CHECK(contains(error, "ai.onnx"));
}

}  // namespace
}  // namespace fastort
