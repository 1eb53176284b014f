// What a planner keeps from one plan for the next.
#include <doctest/doctest.h>

#include <memory>

#include "plan/instance.h"
#include "plan/program.h"
#include "tensor/deferred.h"

namespace fastort {
namespace {

class Packs final : public PackStore {
 public:
  std::shared_ptr<Buffer> get(const Tensor&, std::string_view, size_t bytes, FnRef<void(std::byte*)> fill) override {
    auto buffer = Buffer::allocate(bytes);
    fill(buffer->data());
    return buffer;
  }
};

ValueId add_node(Graph& graph, const std::string& op_type, std::vector<ValueId> inputs, const std::string& output,
                 ValueType type) {
  Node node;
  node.op_type = op_type;
  node.name = output;
  node.inputs = std::move(inputs);
  node.outputs = {graph.add_value(output, std::move(type))};
  graph.nodes.push_back(std::move(node));
  return graph.nodes.back().outputs[0];
}

Tensor number(int64_t value) { return Tensor::vector<int64_t>(std::span(&value, 1)).reshaped(Shape{}); }

TEST_CASE("What a plan computes from a large weight finds it again in the next plan") {
  int computed = 0;
  const auto make = [&] {
    ++computed;
    Tensor table(DataType::Float, Shape{4096, 16});
    for (int i = 0; i < 4096 * 16; ++i) table.data<float>()[i] = static_cast<float>(i);
    return table;
  };
  auto graph = std::make_shared<Graph>();
  graph->name = "positions";
  const ValueId x = graph->add_value("x", ValueType::tensor(DataType::Float, Shape{-1, 16}));
  graph->inputs = {x};
  const ValueId table = graph->add_constant("table", deferred(DataType::Float, Shape{4096, 16}, make));
  const ValueId count = add_node(*graph, "Shape", {x}, "count", ValueType::tensor(DataType::Int64, Shape{1}));
  graph->nodes.back().attributes.set("end", int64_t{1});
  const ValueId limit = add_node(*graph, "Squeeze", {count}, "limit", ValueType::tensor(DataType::Int64, Shape{}));
  const ValueId first = graph->add_constant("first", number(0)), step = graph->add_constant("step", number(1));
  const ValueId indices =
      add_node(*graph, "Range", {first, limit, step}, "indices", ValueType::tensor(DataType::Int64, Shape{-1}));
  const ValueId rows =
      add_node(*graph, "Gather", {table, indices}, "rows", ValueType::tensor(DataType::Float, Shape{-1, 16}));
  graph->outputs = {add_node(*graph, "Add", {x, rows}, "y", ValueType::tensor(DataType::Float, Shape{-1, 16}))};

  const Program program(graph);
  const EngineOptions options;
  Packs packs;
  const PlanServices services{options, packs, nullptr};
  Planner planner(program, 0);
  for (const int64_t size : {3, 4, 5}) {
    const PlanInput input{x, true, DataType::Float, Shape{size, 16}, nullptr};
    const auto plan = planner.plan(std::span(&input, 1), services);
    REQUIRE(plan != nullptr);
    CHECK(computed == 1);
  }
}

}  // namespace
}  // namespace fastort
